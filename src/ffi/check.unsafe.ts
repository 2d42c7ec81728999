// The result convention of libc: -1 and errno.
import { lastErrno } from './koffi.unsafe.ts';
import { SystemError } from './system-error.ts';

/** Passes on the result of a system call. @throws SystemError when it is negative */
export function check(result: number, syscall: string, subject?: string): number {
  if (result >= 0) return result;
  throw new SystemError(syscall, lastErrno(), subject);
}
