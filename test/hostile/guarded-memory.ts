// Guest RAM of two regions with a hole between them, guards around both, and a shadow that tells what a device wrote.
import { guestAddress } from '../../src/lib/brand.ts';
import { KIB } from '../../src/lib/units.ts';
import { GuestMemory } from '../../src/memory/guest-memory.ts';

/** Guest addresses. */
export const LOW_RAM = { start: 0, size: 64 * KIB } as const;
export const HIGH_RAM = { start: 0x4_0000, size: 16 * KIB } as const;

const GUARD_SIZE = 4 * KIB;
/** What guards hold; RAM never has a run of it. */
const GUARD_BYTE = 0xe7;
/** Bytes in a row by which a guard is recognised elsewhere. */
const GUARD_RUN = 16;
/** What is compared at a time. */
const PIECE = KIB;

const LOW_OFFSET = GUARD_SIZE;
const HIGH_OFFSET = LOW_OFFSET + LOW_RAM.size + GUARD_SIZE;
const TOTAL = HIGH_OFFSET + HIGH_RAM.size + GUARD_SIZE;

/** A range of the buffer behind the memory. */
export interface BufferRange {
  readonly offset: number;
  readonly length: number;
}

export class GuardedMemory {
  /** Guards and RAM. */
  readonly bytes = new Uint8Array(new ArrayBuffer(TOTAL)).fill(GUARD_BYTE);
  readonly memory: GuestMemory;
  readonly #shadow = new Uint8Array(TOTAL);

  constructor() {
    const low = this.bytes.subarray(LOW_OFFSET, LOW_OFFSET + LOW_RAM.size);
    const high = this.bytes.subarray(HIGH_OFFSET, HIGH_OFFSET + HIGH_RAM.size);
    // No zeros: a device that writes some would go unseen.
    for (const region of [low, high]) {
      for (let index = 0; index < PIECE; index++) region[index] = (index * 37 + 11) & 0x7f;
      for (let done = PIECE; done < region.length; done += PIECE) region.copyWithin(done, 0, PIECE);
    }
    this.memory = new GuestMemory([
      { guestAddress: guestAddress(LOW_RAM.start), bytes: low },
      { guestAddress: guestAddress(HIGH_RAM.start), bytes: high },
    ]);
  }

  /** Where a range of RAM is in the buffer; undefined when it is not inside one region. */
  locate(address: number, length: number): BufferRange | undefined {
    if (!this.memory.contains(address, length)) return undefined;
    const offset =
      address < HIGH_RAM.start ? LOW_OFFSET + address - LOW_RAM.start : HIGH_OFFSET + address - HIGH_RAM.start;
    return { offset, length };
  }

  /** The guest's address of a byte of the buffer, for messages. */
  describe(offset: number): string {
    const low = offset - LOW_OFFSET;
    const high = offset - HIGH_OFFSET;
    if (low >= 0 && low < LOW_RAM.size) return `guest address 0x${(LOW_RAM.start + low).toString(16)}`;
    if (high >= 0 && high < HIGH_RAM.size) return `guest address 0x${(HIGH_RAM.start + high).toString(16)}`;
    return `a guard, ${offset} bytes from the start`;
  }

  /** From now on `changes` counts. */
  remember(): void {
    this.#shadow.set(this.bytes);
  }

  /** What the guest itself changed since. */
  rememberRange({ offset, length }: BufferRange): void {
    this.#shadow.set(this.bytes.subarray(offset, offset + length), offset);
  }

  /** Offsets of bytes that have changed since `remember`. */
  *changes(): Generator<number> {
    if (Buffer.compare(this.bytes, this.#shadow) === 0) return;
    for (let start = 0; start < TOTAL; start += PIECE) {
      const end = Math.min(TOTAL, start + PIECE);
      if (Buffer.compare(this.bytes.subarray(start, end), this.#shadow.subarray(start, end)) === 0) continue;
      for (let offset = start; offset < end; offset++) {
        if (this.bytes[offset] !== this.#shadow[offset]) yield offset;
      }
    }
  }
}

const RUN = Buffer.alloc(GUARD_RUN, GUARD_BYTE);

/** Whether bytes that a device passed on come from a guard. */
export function holdsGuard(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(RUN);
}
