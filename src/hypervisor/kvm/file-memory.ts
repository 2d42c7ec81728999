// Guest RAM that starts as a part of a file, copied page by page when it is written to.
import { fstatSync } from 'node:fs';
import type { OwnedFd } from '../../ffi/fd.unsafe.ts';
import { createMemfd, type Mapping, mapFilePrivately } from '../../ffi/memory.unsafe.ts';
import type { Fd } from '../../lib/brand.ts';
import { PAGE_SIZE } from '../../lib/units.ts';
import type { HostMemory } from '../ports.ts';
import { PageRanges } from './page-ranges.ts';

/**
 * A guest chooses what is discarded, and each range costs two mappings of the 65530 that a process may have
 * (vm.max_map_count).
 */
const MAX_DISCARDED_RANGES = 8192;

/**
 * MADV_DONTNEED on a private mapping of a file brings the file's bytes back. What is discarded is therefore covered with a
 * memfd at the same addresses: KVM drops its own mapping of pages that are unmapped (its MMU notifier) and finds the new ones
 * at the next access. A memfd and not anonymous memory, for neighbouring pieces of one file always become one mapping.
 */
class FileHostMemory implements HostMemory {
  readonly fdOffset = 0;
  readonly #mapping: Mapping;
  readonly #name: string;
  readonly #discarded = new PageRanges();
  #zeros: OwnedFd | undefined;

  constructor(mapping: Mapping, name: string) {
    this.#mapping = mapping;
    this.#name = name;
  }

  get size(): number {
    return this.#mapping.length;
  }

  get bytes(): Uint8Array {
    return this.#mapping.bytes;
  }

  get hostAddress(): bigint {
    return this.#mapping.address;
  }

  discard(offset: number, length: number): void {
    const end = offset + length;
    if (offset < 0 || length < 0 || end > this.bytes.length || offset % PAGE_SIZE !== 0 || length % PAGE_SIZE !== 0)
      throw new RangeError(`bytes ${offset} to ${end} are not pages inside the mapping`);
    if (length === 0) return;
    if (!this.#discarded.covers(offset, end)) {
      if (!this.#discarded.touches(offset, end) && this.#discarded.count >= MAX_DISCARDED_RANGES) {
        this.bytes.fill(0, offset, end);
        return;
      }
      this.#zeros ??= createMemfd(this.#name, this.bytes.length);
      this.#mapping.overlay(offset, length, this.#zeros.fd, offset);
      this.#discarded.add(offset, end);
    }
    this.#mapping.discard(offset, length, true);
  }

  /** What the guest does not write stays the file's. */
  collapse(): void {}

  [Symbol.dispose](): void {
    this.#mapping[Symbol.dispose]();
    this.#zeros?.[Symbol.dispose]();
  }
}

/**
 * Maps a part of a file as guest memory, copy on write.
 * @param fileOffset bytes, on a page boundary
 * @param size bytes, a multiple of the page size
 * @throws SystemError, RangeError when the part is not whole pages or not inside the file
 */
export function mapFileMemory(fd: Fd, fileOffset: number, size: number, name: string): HostMemory {
  const subject = `guest memory "${name}", ${size} bytes at ${fileOffset} of its file`;
  const isPages = (value: number): boolean => Number.isSafeInteger(value) && value >= 0 && value % PAGE_SIZE === 0;
  if (!isPages(fileOffset) || !isPages(size) || size === 0)
    throw new RangeError(`${subject}: give multiples of ${PAGE_SIZE}`);
  const fileSize = fstatSync(fd).size;
  // An access behind the end of the file would end this process (SIGBUS).
  if (fileOffset + size > fileSize) throw new RangeError(`${subject}: the file has ${fileSize} bytes only`);
  using created = new DisposableStack();
  const mapping = created.use(mapFilePrivately(fd, fileOffset, size, subject));
  mapping.keepFromDumps();
  created.move();
  return new FileHostMemory(mapping, name);
}
