// Transfers past the host's page cache (O_DIRECT): the kernel takes whole blocks in aligned memory only. A guest's buffers
// are where its driver put them; those that do not fit go through memory of ours.
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { type Mapping, mapAnonymous } from '../ffi/memory.unsafe.ts';
import { directAlignment } from '../ffi/statx.unsafe.ts';
import type { Fd } from '../lib/brand.ts';
import { KIB, PAGE_SIZE } from '../lib/units.ts';
import { copyBuffers } from './buffers.ts';

/** Positioned reads and writes of an open file. Each may move less than it was asked for, and tells how much. */
export interface Transfers {
  /** @returns bytes; 0 at the end of the file */
  read(buffers: readonly Uint8Array[], position: number): Promise<number>;
  write(buffers: readonly Uint8Array[], position: number): Promise<number>;
}

/** Through the page cache. */
export function cachedTransfers(file: FileHandle): Transfers {
  return {
    read: async (buffers, position) => (await file.readv(buffers, position)).bytesRead,
    write: async (buffers, position) => (await file.writev(buffers, position)).bytesWritten,
  };
}

export const OPEN_DIRECT: number = constants.O_DIRECT;

const SMALLEST_ALIGNMENT = 512;
/** How much one transfer of buffers that do not fit moves. */
const BOUNCE_SIZE = 256 * KIB;
/** How many of those run at a time; the others wait. */
const BOUNCE_COUNT = 4;

/** Owns the memory for buffers that do not fit. Dispose it once no transfer runs any more. */
export class DirectTransfers implements Transfers, Disposable {
  /** What positions and lengths have to be multiples of, bytes. */
  readonly alignment: number;
  readonly #file: FileHandle;
  readonly #memory: Mapping;
  readonly #free: Uint8Array[];
  readonly #waiting: ((buffer: Uint8Array) => void)[] = [];

  private constructor(file: FileHandle, alignment: number, memory: Mapping) {
    this.#file = file;
    this.alignment = alignment;
    this.#memory = memory;
    this.#free = Array.from({ length: BOUNCE_COUNT }, (_, index) =>
      memory.bytes.subarray(index * BOUNCE_SIZE, (index + 1) * BOUNCE_SIZE),
    );
  }

  /**
   * Finds out what the file is to be accessed in multiples of: the kernel says it, or some reads tell. They tell nothing of
   * a hole, which can be read in any way.
   * @param file opened with O_DIRECT
   * @returns undefined when it can be accessed in none up to a page
   * @throws SystemError (rejects); Node's errors of preadv(2)
   */
  static async probe(file: FileHandle): Promise<DirectTransfers | undefined> {
    const told = directAlignment(file.fd as Fd);
    if (told === 0 || (told !== undefined && told > PAGE_SIZE)) return undefined;
    const memory = mapAnonymous(BOUNCE_COUNT * BOUNCE_SIZE, 'memory for direct transfers');
    try {
      const smallest = Math.max(SMALLEST_ALIGNMENT, told ?? 0);
      for (let alignment = smallest; alignment <= PAGE_SIZE; alignment *= 2) {
        if (await isTaken(file.readv([memory.bytes.subarray(0, alignment)], 0))) {
          return new DirectTransfers(file, alignment, memory);
        }
      }
    } catch (error) {
      memory[Symbol.dispose]();
      throw error;
    }
    memory[Symbol.dispose]();
    return undefined;
  }

  /** Whether a range is one of whole blocks. */
  isAligned(position: number, length: number): boolean {
    return position % this.alignment === 0 && length % this.alignment === 0;
  }

  async read(buffers: readonly Uint8Array[], position: number): Promise<number> {
    if (this.#fit(buffers)) {
      const direct = await unlessRefused(this.#file.readv(buffers, position));
      if (direct !== undefined) return direct.bytesRead;
    }
    return await this.#bounce(buffers, async (bounced) => {
      const { bytesRead } = await this.#file.readv([bounced], position);
      copyBuffers([bounced.subarray(0, bytesRead)], buffers);
      return bytesRead;
    });
  }

  async write(buffers: readonly Uint8Array[], position: number): Promise<number> {
    if (this.#fit(buffers)) {
      const direct = await unlessRefused(this.#file.writev(buffers, position));
      if (direct !== undefined) return direct.bytesWritten;
    }
    return await this.#bounce(buffers, async (bounced) => {
      copyBuffers(buffers, [bounced]);
      return (await this.#file.writev([bounced], position)).bytesWritten;
    });
  }

  [Symbol.dispose](): void {
    this.#memory[Symbol.dispose]();
  }

  /** Guest RAM is mapped at a page, so an offset in it is aligned as the address is; for other memory the kernel decides. */
  #fit(buffers: readonly Uint8Array[]): boolean {
    return buffers.every(({ byteOffset, length }) => this.isAligned(byteOffset, length));
  }

  /** Lends memory for as much of the buffers as it holds. */
  async #bounce(buffers: readonly Uint8Array[], run: (bounced: Uint8Array) => Promise<number>): Promise<number> {
    const memory = this.#free.pop() ?? (await new Promise<Uint8Array>((resolve) => void this.#waiting.push(resolve)));
    try {
      const length = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
      return await run(memory.subarray(0, Math.min(length, BOUNCE_SIZE)));
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free.push(memory);
      else next(memory);
    }
  }
}

/** The result of a transfer; undefined when the kernel did not take its alignment. */
async function unlessRefused<T>(transfer: Promise<T>): Promise<T | undefined> {
  try {
    return await transfer;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EINVAL') return undefined;
    throw error;
  }
}

async function isTaken(transfer: Promise<object>): Promise<boolean> {
  return (await unlessRefused(transfer)) !== undefined;
}
