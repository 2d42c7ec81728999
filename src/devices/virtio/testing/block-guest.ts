// A guest's block driver in a few lines, on the mock driver, and a disk in memory whose operations end when a test says so.
import { MIB } from '../../../lib/units.ts';
import { virtio_blk_discard_write_zeroes, virtio_blk_outhdr } from '../abi.gen.ts';
import type { BlockBackend } from '../block/backend.ts';
import { BlockDevice } from '../block/device.ts';
import type { RateLimiter } from '../rate-limiter.ts';
import { type BufferPart, concatenate, MockMachine, type MockMachineOptions, type UsedBuffer } from './mock-driver.ts';

/** Microtasks without an answer after which none comes: several times what an operation of MemoryDisk takes. */
const SETTLED_AFTER = 64;

export class MemoryDisk implements BlockBackend {
  readonly size: number;
  readonly readOnly: boolean;
  readonly canDiscard = true;
  readonly blockSize = 512;
  readonly physicalBlockSize = 4096;
  readonly bytes: Uint8Array;
  /** What was asked for, in order: "read <offset> <length>". */
  readonly log: string[] = [];
  /** Whether everything fails. */
  isBroken = false;
  /** Whether operations wait for `release`. */
  isHeld = false;
  #held: (() => void)[] = [];

  constructor(size: number, readOnly = false) {
    this.size = size;
    this.readOnly = readOnly;
    this.bytes = new Uint8Array(size);
  }

  /** Operations that wait for `release`. */
  get heldCount(): number {
    return this.#held.length;
  }

  /** Lets one of the operations that wait go on: the oldest, or any. */
  release(index = 0): void {
    for (const go of this.#held.splice(index % Math.max(1, this.#held.length), 1)) go();
  }

  /** Lets all go on, and all that follow. */
  releaseAll(): void {
    this.isHeld = false;
    while (this.#held.length > 0) this.release();
  }

  async read(offset: number, buffers: readonly Uint8Array[]): Promise<void> {
    await this.#enter('read', offset, concatenate(buffers).length);
    let position = offset;
    for (const buffer of buffers) {
      buffer.set(this.bytes.subarray(position, position + buffer.length));
      position += buffer.length;
    }
  }

  async write(offset: number, buffers: readonly Uint8Array[]): Promise<void> {
    await this.#enter('write', offset, concatenate(buffers).length);
    this.bytes.set(concatenate(buffers), offset);
  }

  async flush(): Promise<void> {
    await this.#enter('flush');
  }

  async discard(offset: number, length: number): Promise<void> {
    await this.#enter('discard', offset, length);
  }

  async writeZeroes(offset: number, length: number, mayDiscard: boolean): Promise<void> {
    await this.#enter(mayDiscard ? 'zero-or-discard' : 'zero', offset, length);
    this.bytes.fill(0, offset, offset + length);
  }

  async #enter(...what: readonly (string | number)[]): Promise<void> {
    this.log.push(what.join(' '));
    if (this.isHeld) await new Promise<void>((resolve) => void this.#held.push(resolve));
    if (this.isBroken) throw new Error('the disk is broken');
  }
}

export interface BlockGuestOptions extends MockMachineOptions {
  readonly disk?: MemoryDisk;
  /** What the device works on instead of `disk`. */
  readonly backend?: BlockBackend;
  /** Features that the driver does not take. */
  readonly refuse?: readonly number[];
  readonly queueSize?: number;
  readonly limiter?: RateLimiter;
}

/** What became of a request. */
export interface BlockAnswer {
  readonly status: number | undefined;
  readonly data: Uint8Array;
  /** The used length. */
  readonly written: number;
}

export class BlockGuest {
  readonly disk: MemoryDisk;
  readonly device: BlockDevice;
  readonly machine: MockMachine;
  /** What the back end failed with, as the device reported it. */
  readonly errors: unknown[] = [];

  constructor(options: BlockGuestOptions = {}) {
    const {
      disk = new MemoryDisk(64 * 1024),
      backend = disk,
      refuse = [],
      queueSize,
      limiter,
      ...machineOptions
    } = options;
    this.disk = disk;
    this.device = new BlockDevice({
      name: 'disk0',
      backend,
      ...(limiter === undefined ? {} : { limiter }),
      onError: (error) => void this.errors.push(error),
    });
    this.machine = new MockMachine(this.device, { memorySize: MIB, ...machineOptions });
    this.machine.driver.start({ refuse, ...(queueSize === undefined ? {} : { queueSize }) });
  }

  /** Makes one request available and rings the bell. @returns its head */
  submit(type: number, sector: bigint, ...data: readonly BufferPart[]): number {
    const queue = this.machine.driver.queue(0);
    const head = queue.push({ read: requestHeader(type, sector) }, ...data, { write: 1 });
    queue.kick();
    return head;
  }

  /** What the device returned by the time that it has nothing more to do. */
  async settle(): Promise<UsedBuffer[]> {
    const used: UsedBuffer[] = [];
    for (let idleTurns = 0; idleTurns < SETTLED_AFTER; ) {
      await Promise.resolve();
      const more = this.machine.driver.queue(0).takeUsed();
      idleTurns = more.length + this.machine.runDeferred() === 0 ? idleTurns + 1 : 0;
      used.push(...more);
    }
    return used;
  }

  /** Submits one request and waits for it. */
  async request(type: number, sector: bigint, ...data: readonly BufferPart[]): Promise<BlockAnswer> {
    this.submit(type, sector, ...data);
    const [used] = await this.settle();
    if (used === undefined) throw new Error('the device did not answer');
    return { status: used.room.at(-1), data: used.room.subarray(0, -1), written: used.written };
  }
}

/** The part of struct virtio_blk_req before the data. */
export function requestHeader(type: number, sector: bigint): Uint8Array {
  const view = new DataView(new ArrayBuffer(virtio_blk_outhdr.sizeof));
  view.setUint32(virtio_blk_outhdr.type, type, true);
  view.setBigUint64(virtio_blk_outhdr.sector, sector, true);
  return new Uint8Array(view.buffer);
}

/** One entry of a discard or write-zeroes request. */
export function requestRange(sector: bigint, sectors: number, flags = 0): BufferPart {
  const view = new DataView(new ArrayBuffer(virtio_blk_discard_write_zeroes.sizeof));
  view.setBigUint64(virtio_blk_discard_write_zeroes.sector, sector, true);
  view.setUint32(virtio_blk_discard_write_zeroes.num_sectors, sectors, true);
  view.setUint32(virtio_blk_discard_write_zeroes.flags, flags, true);
  return { read: new Uint8Array(view.buffer) };
}
