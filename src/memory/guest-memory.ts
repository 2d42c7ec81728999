// Guest RAM as checked bytes. Every access names a guest physical address and is refused unless all of it lies in RAM.
import type { GuestAddress } from '../lib/brand.ts';
import { TskataError } from '../lib/errors.ts';

/** An access was not wholly inside guest RAM. With a hostile guest this is expected: it fails the request, not the host. */
export class GuestMemoryError extends TskataError<'OUT_OF_RANGE'> {
  constructor(address: number, length: number) {
    super('OUT_OF_RANGE', `guest memory access of ${length} bytes at 0x${address.toString(16)} is not inside RAM`, {
      address,
      length,
    });
  }
}

/** One contiguous piece of guest RAM. */
export interface MemoryRegion {
  /** Guest physical address of its first byte. */
  readonly guestAddress: GuestAddress;
  /** The bytes themselves: a view of the mapping, not a copy. */
  readonly bytes: Uint8Array;
  /** Whether a part of it, from 0 on, is RAM now: of memory that is plugged and unplugged. Absent: all of it, always. */
  readonly isRam?: (offset: number, length: number) => boolean;
}

interface Mapped extends Pick<MemoryRegion, 'bytes' | 'isRam'> {
  readonly start: number;
  readonly end: number;
  readonly view: DataView;
}

/** Guest RAM: one or more regions that do not overlap. Integers are little-endian, as on x86 and in virtio. */
export class GuestMemory {
  #regions: readonly Mapped[] = [];

  constructor(regions: readonly MemoryRegion[]) {
    for (const region of regions) this.add(region);
  }

  /** One more region, which overlaps none. */
  add({ guestAddress: start, bytes, ...rest }: MemoryRegion): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const region = { ...rest, bytes, start, end: start + bytes.length, view };
    this.#regions = [...this.#regions, region].sort((a, b) => a.start - b.start);
  }

  /** Bytes of all regions. */
  get size(): number {
    return this.#regions.reduce((sum, region) => sum + region.bytes.length, 0);
  }

  /** Guest physical address behind the last region. */
  get end(): number {
    return this.#regions.at(-1)?.end ?? 0;
  }

  /** Whether all of `length` bytes at `address` is RAM, in one region. */
  contains(address: number, length: number): boolean {
    return this.#regionOf(address, length) !== undefined;
  }

  #regionOf(address: number, length: number): Mapped | undefined {
    for (const region of this.#regions) {
      if (!(address >= region.start && length >= 0 && address + length <= region.end)) continue;
      return (region.isRam?.(address - region.start, length) ?? true) ? region : undefined;
    }
    return undefined;
  }

  #find(address: number, length: number): Mapped {
    const region = this.#regionOf(address, length);
    if (region === undefined) throw new GuestMemoryError(address, length);
    return region;
  }

  /**
   * The bytes themselves, without a copy. The guest may change them at any moment: what is validated must be copied first.
   * @throws GuestMemoryError
   */
  slice(address: number, length: number): Uint8Array {
    const region = this.#find(address, length);
    return region.bytes.subarray(address - region.start, address - region.start + length);
  }

  /** Guest physical address of what `slice` gave. @throws RangeError when the bytes are not this guest's RAM */
  addressOf(bytes: Uint8Array): number {
    for (const region of this.#regions) {
      const offset = bytes.byteOffset - region.bytes.byteOffset;
      const isInside = offset >= 0 && offset + bytes.length <= region.bytes.length;
      if (bytes.buffer === region.bytes.buffer && isInside) return region.start + offset;
    }
    throw new RangeError(`${bytes.length} bytes that are not RAM of this guest have no address in it`);
  }

  /** A copy that the guest cannot change any more. @throws GuestMemoryError */
  copy(address: number, length: number): Uint8Array {
    return this.slice(address, length).slice();
  }

  /** @throws GuestMemoryError */
  write(address: number, bytes: Uint8Array): void {
    this.slice(address, bytes.length).set(bytes);
  }

  /** @throws GuestMemoryError */
  readU8(address: number): number {
    const region = this.#find(address, 1);
    return region.view.getUint8(address - region.start);
  }

  /** @throws GuestMemoryError */
  readU16(address: number): number {
    const region = this.#find(address, 2);
    return region.view.getUint16(address - region.start, true);
  }

  /** @throws GuestMemoryError */
  readU32(address: number): number {
    const region = this.#find(address, 4);
    return region.view.getUint32(address - region.start, true);
  }

  /** @throws GuestMemoryError */
  readU64(address: number): bigint {
    const region = this.#find(address, 8);
    return region.view.getBigUint64(address - region.start, true);
  }

  /** @throws GuestMemoryError */
  writeU8(address: number, value: number): void {
    const region = this.#find(address, 1);
    region.view.setUint8(address - region.start, value);
  }

  /** @throws GuestMemoryError */
  writeU16(address: number, value: number): void {
    const region = this.#find(address, 2);
    region.view.setUint16(address - region.start, value, true);
  }

  /** @throws GuestMemoryError */
  writeU32(address: number, value: number): void {
    const region = this.#find(address, 4);
    region.view.setUint32(address - region.start, value, true);
  }

  /** @throws GuestMemoryError */
  writeU64(address: number, value: bigint): void {
    const region = this.#find(address, 8);
    region.view.setBigUint64(address - region.start, value, true);
  }
}
