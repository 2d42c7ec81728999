// Mappings: files and devices in memory, and memory that other processes can map too.
import { ftruncateSync } from 'node:fs';
import type { Fd } from '../lib/brand.ts';
import { alignUp, GIB, KIB, MIB } from '../lib/units.ts';
import {
  F_ADD_SEALS,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  MADV_COLLAPSE,
  MADV_DONTDUMP,
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_HUGE_1GB,
  MAP_HUGE_2MB,
  MAP_HUGETLB,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  MFD_HUGE_1GB,
  MFD_HUGE_2MB,
  MFD_HUGETLB,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { OwnedFd } from './fd.unsafe.ts';
import { lastErrno, libcFunction, revokeView, viewMemory } from './koffi.unsafe.ts';
import { SystemError } from './system-error.ts';

const mmap = libcFunction<[bigint | null, number, number, number, number, number], number>(
  'int64_t mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)',
);
const munmap = libcFunction<[bigint, number], number>('int munmap(void *address, size_t length)');
const madvise = libcFunction<[bigint, number, number], number>('int madvise(void *address, size_t length, int advice)');
const fcntl = libcFunction<[number, number, number], number>('int fcntl(int fd, int command, int argument)');
const memfdCreate = libcFunction<[string, number], number>('int memfd_create(const char *name, uint flags)');

/** Pages that the kernel keeps in a pool of their own (hugetlb), by their size. */
export type HugePageSize = '2M' | '1G';

const HUGE_PAGES = {
  '2M': { bytes: 2 * MIB, memfd: MFD_HUGETLB | MFD_HUGE_2MB, map: MAP_HUGETLB | MAP_HUGE_2MB },
  '1G': { bytes: GIB, memfd: MFD_HUGETLB | MFD_HUGE_1GB, map: MAP_HUGETLB | MAP_HUGE_1GB },
} as const satisfies Record<HugePageSize, { bytes: number; memfd: number; map: number }>;

/** Size of a huge page, bytes. */
export function hugePageBytes(size: HugePageSize): number {
  return HUGE_PAGES[size].bytes;
}

/** What helps when the pool has too few pages. */
function hugePageAdvice(size: HugePageSize, length: number): string {
  const { bytes } = HUGE_PAGES[size];
  const count = Math.ceil(length / bytes);
  const file =
    size === '2M'
      ? '/proc/sys/vm/nr_hugepages'
      : `/sys/kernel/mm/hugepages/hugepages-${bytes / KIB}kB/nr_hugepages (or hugepagesz=1G hugepages=${count} on the host's kernel command line)`;
  return `it needs ${count} free huge pages of ${size}: raise the number in ${file}, or do without huge pages`;
}

/**
 * A mapping of this process, read and write. Disposing it unmaps it; views that anyone still holds have length 0 then.
 */
export class Mapping implements Disposable {
  readonly address: bigint;
  readonly length: number;
  #bytes: Uint8Array | undefined;
  #mapped = true;

  constructor(address: number, length: number) {
    this.address = BigInt(address);
    this.length = length;
  }

  /** Made when it is first asked for: V8 takes the length for memory that it keeps, and collects garbage when that is much. */
  get bytes(): Uint8Array {
    if (!this.#mapped) return new Uint8Array();
    this.#bytes ??= viewMemory(this.address, this.length);
    return this.#bytes;
  }

  /**
   * Gives the pages of a range back to the kernel; they read as zeros when touched again.
   * @param shared whether the mapping is of a memfd, whose pages must be removed from the file
   * @throws SystemError
   */
  discard(offset: number, length: number, shared: boolean): void {
    this.#advise(offset, length, shared ? MADV_REMOVE : MADV_DONTNEED, 'madvise');
  }

  /** Keeps the mapping out of this process's core dumps. @throws SystemError */
  keepFromDumps(): void {
    this.#advise(0, this.length, MADV_DONTDUMP, 'madvise(MADV_DONTDUMP)');
  }

  /**
   * Asks the kernel for transparent huge pages. A request: for a memfd it counts only where
   * /sys/kernel/mm/transparent_hugepage/shmem_enabled is "advise" or more.
   * @throws SystemError, EINVAL on a kernel without transparent huge pages
   */
  adviseHugePages(): void {
    this.#advise(0, this.length, MADV_HUGEPAGE, 'madvise(MADV_HUGEPAGE)');
  }

  /**
   * Makes transparent huge pages of a range now, whatever the settings of the host say of them; its bytes stay. What is not taken
   * yet is taken for that, but for a huge page of which there is nothing at all.
   * @throws SystemError: EINVAL before Linux 6.1, and ENOMEM, EBUSY or EAGAIN when it cannot be now: some is collapsed then
   */
  collapse(offset: number, length: number): void {
    this.#advise(offset, length, MADV_COLLAPSE, 'madvise(MADV_COLLAPSE)');
  }

  /**
   * Takes all pages from the kernel now; waits for it.
   * @throws SystemError: ENOMEM when there are not so many, EINVAL before Linux 5.14
   */
  populate(): void {
    this.#advise(0, this.length, MADV_POPULATE_WRITE, 'madvise(MADV_POPULATE_WRITE)');
  }

  /**
   * Maps a file over a range, shared, at the same addresses: whoever has the mapping (a view, KVM's memory slot) sees the
   * file there from now on, and nobody sees a time without either.
   * @throws SystemError; the range is as it was then
   */
  overlay(offset: number, length: number, fd: Fd, fileOffset: number): void {
    this.#check(offset, length);
    const flags = MAP_SHARED | MAP_NORESERVE | MAP_FIXED;
    const address = this.address + BigInt(offset);
    if (mmap(address, length, PROT_READ | PROT_WRITE, flags, fd, fileOffset) === -1)
      throw new SystemError('mmap', lastErrno(), `${length} bytes over a mapping`);
    // As the rest of the mapping: the kernel joins neighbours that have the same flags.
    this.#advise(offset, length, MADV_DONTDUMP, 'madvise(MADV_DONTDUMP)');
  }

  #check(offset: number, length: number): void {
    if (!this.#mapped || offset < 0 || length < 0 || offset + length > this.length)
      throw new RangeError(`bytes ${offset} to ${offset + length} are not inside the mapping`);
  }

  #advise(offset: number, length: number, advice: number, name: string): void {
    this.#check(offset, length);
    check(madvise(this.address + BigInt(offset), length, advice), name, `${length} bytes of a mapping`);
  }

  [Symbol.dispose](): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    if (this.#bytes !== undefined) revokeView(this.#bytes);
    check(munmap(this.address, this.length), 'munmap', 'a mapping');
  }
}

/** What is mapped: part of a file or device, or nothing that has a name. */
interface MapSource {
  readonly flags: number;
  readonly fd: number;
  readonly offset: number;
}

function map(length: number, { flags, fd, offset }: MapSource, subject: string, advice?: string): Mapping {
  const address = mmap(null, length, PROT_READ | PROT_WRITE, flags, fd, offset);
  if (address === -1) throw new SystemError('mmap', lastErrno(), subject, advice);
  return new Mapping(address, length);
}

/**
 * Maps at a multiple of `alignment`, a power of two: finds the place with a reservation that is larger by that, and gives
 * back what is before and behind.
 */
function mapAligned(length: number, { flags, fd, offset }: MapSource, subject: string, alignment: number): Mapping {
  const room = length + alignment;
  const reserved = mmap(null, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved === -1) throw new SystemError('mmap', lastErrno(), subject);
  const start = alignUp(reserved, alignment);
  const address = mmap(BigInt(start), length, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, offset);
  if (address === -1) {
    const error = new SystemError('mmap', lastErrno(), subject);
    munmap(BigInt(reserved), room);
    throw error;
  }
  if (start > reserved) check(munmap(BigInt(reserved), start - reserved), 'munmap', subject);
  check(munmap(BigInt(start + length), reserved + alignment - start), 'munmap', subject);
  return new Mapping(address, length);
}

/** Maps `length` bytes of a file or device, shared. @throws SystemError */
export function mapShared(fd: Fd, length: number, subject: string, offset = 0): Mapping {
  return map(length, { flags: MAP_SHARED | MAP_NORESERVE, fd, offset }, subject);
}

/**
 * Maps `length` bytes of a file for this process alone: what is written here is not in the file, and pages that are only
 * read are the page cache's. Read permission on the file is enough.
 * @throws SystemError
 */
export function mapFilePrivately(fd: Fd, offset: number, length: number, subject: string): Mapping {
  return map(length, { flags: MAP_PRIVATE | MAP_NORESERVE, fd, offset }, subject);
}

/** What zeroed memory is made of. */
export interface MemoryPages {
  /** A memfd of `createMemfd` with the same huge pages; without it, only this process sees the memory. */
  readonly memfd?: Fd;
  /** Pages of the pool: they are reserved at once, so that no access fails later. */
  readonly hugePages?: HugePageSize;
  /** Start at a multiple of so many bytes, a power of two. */
  readonly alignment?: number;
}

/**
 * Maps `length` zeroed bytes. Ordinary pages are not reserved: neither memory nor swap is taken before they are touched.
 * @throws SystemError, ENOMEM when the pool has too few huge pages
 */
export function mapMemory(length: number, pages: MemoryPages, subject: string): Mapping {
  const { memfd, hugePages, alignment } = pages;
  const visibility = memfd === undefined ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  const source = (flags: number): MapSource => ({ flags: visibility | flags, fd: memfd ?? -1, offset: 0 });
  if (hugePages !== undefined) {
    const flags = memfd === undefined ? HUGE_PAGES[hugePages].map : 0;
    return map(length, source(flags), subject, hugePageAdvice(hugePages, length));
  }
  if (alignment !== undefined) return mapAligned(length, source(MAP_NORESERVE), subject, alignment);
  return map(length, source(MAP_NORESERVE), subject);
}

/** Maps `length` zeroed bytes that only this process sees; no swap is reserved for them. @throws SystemError */
export function mapAnonymous(length: number, subject: string): Mapping {
  return mapMemory(length, {}, subject);
}

/**
 * Creates a file of zeros in memory that other processes can map. Its size is sealed: whoever else has it cannot cut it off
 * below our mapping, where the next access would end this process (SIGBUS).
 * @param name seen in /proc/PID/fd
 * @throws SystemError
 */
export function createMemfd(name: string, length: number, hugePages?: HugePageSize): OwnedFd {
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (hugePages === undefined ? 0 : HUGE_PAGES[hugePages].memfd);
  const fd = memfdCreate(name, flags);
  if (fd === -1) {
    const advice = hugePages === undefined ? undefined : hugePageAdvice(hugePages, length);
    throw new SystemError('memfd_create', lastErrno(), name, advice);
  }
  const owned = new OwnedFd(fd);
  try {
    ftruncateSync(owned.fd, length);
    check(fcntl(owned.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 'fcntl(F_ADD_SEALS)', name);
    return owned;
  } catch (error) {
    owned[Symbol.dispose]();
    throw error;
  }
}
