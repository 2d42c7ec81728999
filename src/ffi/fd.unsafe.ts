// File descriptors: ownership, duplication, locks, space. Reading and writing files is node:fs's (readSync, readvSync with a
// position are pread and preadv), closing too.
import { closeSync } from 'node:fs';
import type { Fd } from '../lib/brand.ts';
import {
  F_DUPFD_CLOEXEC,
  F_GETFL,
  F_SETFL,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  LOCK_EX,
  LOCK_NB,
  LOCK_SH,
  LOCK_UN,
  O_NONBLOCK,
  SEEK_DATA,
  SEEK_HOLE,
} from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { lastErrno, libcFunction, libcFunctionAsync } from './koffi.unsafe.ts';
import { SystemError } from './system-error.ts';

const fcntl = libcFunction<[number, number, number], number>('int fcntl(int fd, int command, int argument)');
const flock = libcFunction<[number, number], number>('int flock(int fd, int operation)');
const lseek = libcFunction<[number, number, number], number>('int64_t lseek(int fd, int64_t offset, int whence)');
const fallocate = libcFunctionAsync<[number, number, number, number]>(
  'int fallocate(int fd, int mode, int64_t offset, int64_t length)',
);

/** A file descriptor and the duty to close it. Disposing it twice is harmless. */
export class OwnedFd implements Disposable {
  readonly fd: Fd;
  #open = true;

  constructor(fd: number) {
    this.fd = fd as Fd;
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.fd);
  }
}

/** A second descriptor of the same open file, close-on-exec. @throws SystemError */
export function duplicateFd(fd: Fd): OwnedFd {
  return new OwnedFd(check(fcntl(fd, F_DUPFD_CLOEXEC, 3), 'fcntl(F_DUPFD_CLOEXEC)', `fd ${fd}`));
}

/** From now on reads and writes of the open file do not wait, for all who have it. @throws SystemError */
export function setNonBlocking(fd: Fd): void {
  const flags = check(fcntl(fd, F_GETFL, 0), 'fcntl(F_GETFL)', `fd ${fd}`);
  check(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 'fcntl(F_SETFL)', `fd ${fd}`);
}

/**
 * flock(2) without waiting.
 * @returns false when someone else holds a lock that excludes this one
 * @throws SystemError for any other failure
 */
export function tryLock(fd: Fd, kind: 'shared' | 'exclusive'): boolean {
  if (flock(fd, (kind === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0) return true;
  const error = new SystemError('flock', lastErrno(), `fd ${fd}`);
  if (error.code === 'EAGAIN') return false;
  throw error;
}

/** Gives a lock of `tryLock` back; closing the last descriptor of the open file does too. @throws SystemError */
export function unlock(fd: Fd): void {
  check(flock(fd, LOCK_UN), 'flock', `fd ${fd}`);
}

/** Gives the space of a range back to the file system; it reads as zeros then. Bytes. @throws SystemError (rejects) */
export async function punchHole(fd: Fd, offset: number, length: number): Promise<void> {
  await changeRange(fd, FALLOC_FL_PUNCH_HOLE, 'fallocate(PUNCH_HOLE)', offset, length);
}

/**
 * Makes a range read as zeros and keeps its space. Bytes.
 * @throws SystemError (rejects), EOPNOTSUPP where the file system cannot
 */
export async function zeroRange(fd: Fd, offset: number, length: number): Promise<void> {
  await changeRange(fd, FALLOC_FL_ZERO_RANGE, 'fallocate(ZERO_RANGE)', offset, length);
}

/** Off the main thread: the kernel writes out what is dirty in the range before it changes it. */
async function changeRange(fd: Fd, mode: number, name: string, offset: number, length: number): Promise<void> {
  const { result, errno } = await fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, offset, length);
  if (result !== 0) throw new SystemError(name, errno, `fd ${fd}`);
}

/** A range of a file, bytes. */
export interface FileRange {
  readonly offset: number;
  readonly length: number;
}

/**
 * The ranges of a file that are no holes, in order, up to `size`. Where the file system cannot tell, the file is one range.
 * Moves the position of the open file.
 * @throws SystemError
 */
export function* dataRanges(fd: Fd, size: number): Generator<FileRange> {
  for (let end = 0; end < size; ) {
    const offset = lseek(fd, end, SEEK_DATA);
    if (offset < 0) {
      const error = new SystemError('lseek(SEEK_DATA)', lastErrno(), `fd ${fd}`);
      if (error.code === 'ENXIO') return;
      if (error.code !== 'EINVAL' || end > 0) throw error;
      yield { offset: 0, length: size };
      return;
    }
    if (offset >= size) return;
    end = Math.min(check(lseek(fd, offset, SEEK_HOLE), 'lseek(SEEK_HOLE)', `fd ${fd}`), size);
    yield { offset, length: end - offset };
  }
}
