// Mappings: files and devices in memory, and memory that other processes can map too.
import { ftruncateSync } from 'node:fs';
import type { Fd } from '../lib/brand.ts';
import {
  F_ADD_SEALS,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  MADV_DONTNEED,
  MADV_REMOVE,
  MAP_ANONYMOUS,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  PROT_READ,
  PROT_WRITE,
} from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { OwnedFd } from './fd.unsafe.ts';
import { lastErrno, libcFunction, revokeView, viewMemory } from './koffi.unsafe.ts';
import { SystemError } from './system-error.ts';

const mmap = libcFunction<[null, number, number, number, number, number], number>(
  'int64_t mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)',
);
const munmap = libcFunction<[bigint, number], number>('int munmap(void *address, size_t length)');
const madvise = libcFunction<[bigint, number, number], number>('int madvise(void *address, size_t length, int advice)');
const fcntl = libcFunction<[number, number, number], number>('int fcntl(int fd, int command, int argument)');
const memfdCreate = libcFunction<[string, number], number>('int memfd_create(const char *name, uint flags)');

/**
 * A mapping of this process, read and write. Disposing it unmaps it; views that anyone still holds have length 0 then.
 */
export class Mapping implements Disposable {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly #length: number;
  #mapped = true;

  constructor(address: number, length: number) {
    this.address = BigInt(address);
    this.bytes = viewMemory(this.address, length);
    this.#length = length;
  }

  /**
   * Gives the pages of a range back to the kernel; they read as zeros when touched again.
   * @param shared whether the mapping is of a memfd, whose pages must be removed from the file
   * @throws SystemError
   */
  discard(offset: number, length: number, shared: boolean): void {
    if (!this.#mapped || offset < 0 || length < 0 || offset + length > this.#length)
      throw new RangeError(`bytes ${offset} to ${offset + length} are not inside the mapping`);
    check(madvise(this.address + BigInt(offset), length, shared ? MADV_REMOVE : MADV_DONTNEED), 'madvise', 'a mapping');
  }

  [Symbol.dispose](): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    revokeView(this.bytes);
    check(munmap(this.address, this.#length), 'munmap', 'a mapping');
  }
}

function map(length: number, flags: number, fd: number, offset: number, subject: string): Mapping {
  const address = mmap(null, length, PROT_READ | PROT_WRITE, flags, fd, offset);
  if (address === -1) throw new SystemError('mmap', lastErrno(), subject);
  return new Mapping(address, length);
}

/** Maps `length` bytes of a file or device, shared. @throws SystemError */
export function mapShared(fd: Fd, length: number, subject: string, offset = 0): Mapping {
  return map(length, MAP_SHARED | MAP_NORESERVE, fd, offset, subject);
}

/** Maps `length` zeroed bytes that only this process sees; no swap is reserved for them. @throws SystemError */
export function mapAnonymous(length: number, subject: string): Mapping {
  return map(length, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, subject);
}

/**
 * Creates a file of zeros in memory that other processes can map. Its size is sealed: whoever else has it cannot cut it off
 * below our mapping, where the next access would end this process (SIGBUS).
 * @param name seen in /proc/PID/fd
 * @throws SystemError
 */
export function createMemfd(name: string, length: number): OwnedFd {
  const owned = new OwnedFd(check(memfdCreate(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), 'memfd_create', name));
  try {
    ftruncateSync(owned.fd, length);
    check(fcntl(owned.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 'fcntl(F_ADD_SEALS)', name);
    return owned;
  } catch (error) {
    owned[Symbol.dispose]();
    throw error;
  }
}
