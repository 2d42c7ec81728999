// Guest RAM: mapped, zeroed, and not reserved before the guest touches it.
import type { OwnedFd } from '../../ffi/fd.unsafe.ts';
import { createMemfd, type Mapping, mapAnonymous, mapShared } from '../../ffi/memory.unsafe.ts';
import type { Fd } from '../../lib/brand.ts';
import { PAGE_SIZE } from '../../lib/units.ts';
import type { HostMemory } from '../ports.ts';

class MappedHostMemory implements HostMemory {
  readonly fd?: Fd;
  readonly fdOffset = 0;
  readonly #mapping: Mapping;
  readonly #memfd: OwnedFd | undefined;

  constructor(mapping: Mapping, memfd?: OwnedFd) {
    this.#mapping = mapping;
    this.#memfd = memfd;
    if (memfd !== undefined) this.fd = memfd.fd;
  }

  get bytes(): Uint8Array {
    return this.#mapping.bytes;
  }

  get hostAddress(): bigint {
    return this.#mapping.address;
  }

  discard(offset: number, length: number): void {
    this.#mapping.discard(offset, length, this.#memfd !== undefined);
  }

  [Symbol.dispose](): void {
    this.#mapping[Symbol.dispose]();
    this.#memfd?.[Symbol.dispose]();
  }
}

/**
 * Allocates memory that a guest can see.
 * @param size bytes, a multiple of the page size
 * @param options.name of the memfd, seen in /proc/PID/maps
 * @throws SystemError when there is no memory, RangeError for a size that is not whole pages
 */
export function allocateHostMemory(
  size: number,
  { shared, name }: { readonly shared: boolean; readonly name: string },
): HostMemory {
  if (!Number.isSafeInteger(size) || size <= 0 || size % PAGE_SIZE !== 0)
    throw new RangeError(`guest memory of ${size} bytes: give a multiple of ${PAGE_SIZE}`);
  const subject = `guest memory "${name}" of ${size} bytes`;
  if (!shared) return new MappedHostMemory(mapAnonymous(size, subject));
  const memfd = createMemfd(name, size);
  try {
    return new MappedHostMemory(mapShared(memfd.fd, size, subject), memfd);
  } catch (error) {
    memfd[Symbol.dispose]();
    throw error;
  }
}
