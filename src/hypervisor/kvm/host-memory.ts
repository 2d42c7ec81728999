// Guest RAM: mapped, zeroed, and not reserved before the guest touches it, or of huge pages, reserved at once.
import type { OwnedFd } from '../../ffi/fd.unsafe.ts';
import { createMemfd, hugePageBytes, type Mapping, mapMemory } from '../../ffi/memory.unsafe.ts';
import { SystemError } from '../../ffi/system-error.ts';
import type { Fd } from '../../lib/brand.ts';
import { alignUp, MIB, PAGE_SIZE } from '../../lib/units.ts';
import type { HostMemory, MemoryOptions } from '../ports.ts';

/** What the kernel makes transparent huge pages of: KVM maps one at once only where guest and host addresses are aligned. */
const TRANSPARENT_HUGE_PAGE_SIZE = 2 * MIB;

class MappedHostMemory implements HostMemory {
  readonly fd?: Fd;
  readonly fdOffset = 0;
  readonly #mapping: Mapping;
  readonly #memfd: OwnedFd | undefined;
  readonly #pageSize: number;

  constructor(mapping: Mapping, pageSize: number, memfd?: OwnedFd) {
    this.#mapping = mapping;
    this.#pageSize = pageSize;
    this.#memfd = memfd;
    if (memfd !== undefined) this.fd = memfd.fd;
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
    const firstPage = Math.min(alignUp(offset, this.#pageSize), end);
    const lastPage = Math.max(Math.floor(end / this.#pageSize) * this.#pageSize, firstPage);
    if (lastPage > firstPage) this.#mapping.discard(firstPage, lastPage - firstPage, this.#memfd !== undefined);
    // A part of a huge page cannot be given back.
    this.bytes.fill(0, offset, firstPage);
    this.bytes.fill(0, lastPage, end);
  }

  collapse(offset: number, length: number): void {
    // Linux leaves out a huge page of which there is nothing yet.
    for (let at = offset; at < offset + length; at += TRANSPARENT_HUGE_PAGE_SIZE) this.bytes[at] ||= 0;
    try {
      this.#mapping.collapse(offset, length);
    } catch (error) {
      // Ordinary pages do as well.
      if (!(error instanceof SystemError)) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#mapping[Symbol.dispose]();
    this.#memfd?.[Symbol.dispose]();
  }
}

/** @throws RangeError when the size is not whole pages */
function checkSize(size: number, pageSize: number): void {
  if (!Number.isSafeInteger(size) || size <= 0 || size % pageSize !== 0)
    throw new RangeError(`guest memory of ${size} bytes: give a multiple of ${pageSize}`);
}

function prepare(mapping: Mapping, { hugePages, prefault }: MemoryOptions): void {
  // A core dump of the VMM is about the VMM; the guest's memory is large and its owner's.
  mapping.keepFromDumps();
  if (hugePages === 'transparent') mapping.adviseHugePages();
  if (prefault === true) mapping.populate();
}

/**
 * Allocates memory that a guest can see.
 * @param size bytes, a multiple of the page size
 * @throws SystemError when there is no memory or there are no huge pages, RangeError for a size that is not whole pages
 */
export function allocateHostMemory(size: number, options: MemoryOptions): HostMemory {
  const { shared, name } = options;
  const hugePages = options.hugePages === 'transparent' ? undefined : options.hugePages;
  const pageSize = hugePages === undefined ? PAGE_SIZE : hugePageBytes(hugePages);
  checkSize(size, pageSize);
  using created = new DisposableStack();
  const memfd = shared ? created.use(createMemfd(name, size, hugePages)) : undefined;
  const pages = {
    ...(memfd === undefined ? {} : { memfd: memfd.fd }),
    ...(hugePages === undefined ? {} : { hugePages }),
    alignment: TRANSPARENT_HUGE_PAGE_SIZE,
  };
  const mapping = created.use(mapMemory(size, pages, `guest memory "${name}" of ${size} bytes`));
  prepare(mapping, options);
  created.move();
  return new MappedHostMemory(mapping, pageSize, memfd);
}
