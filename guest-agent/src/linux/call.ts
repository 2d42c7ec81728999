// System calls that throw. Every other file here is a thin layer over `call` and `tryCall`.
import { type Argument, syscall } from 'tskata-sys';
import { TskataError } from '../../../src/lib/errors.ts';
import * as abi from './abi.gen.ts';

/** A system call failed. `code` is the error's name (`ENOENT`), `reason` its text (`no such file or directory`). */
export class SystemError extends TskataError {
  readonly errno: number;
  readonly reason: string;

  /** @param subject what the call was about: a path, an address */
  constructor(call: string, subject: string, errno: number) {
    const line = abi.ERRORS.split('\n')[errno] ?? '';
    const [, code = `E${errno}`, reason = `error ${errno}`] = /^(\w+) (.+)$/.exec(line) ?? [];
    super(code, `${call}${subject === '' ? '' : ` ${subject}`}: ${reason}`, { call, path: subject, errno });
    this.errno = errno;
    this.reason = reason;
  }
}

/** Whether `error` is a failed system call with one of these error numbers. */
export function isErrno(error: unknown, ...numbers: number[]): boolean {
  return error instanceof SystemError && numbers.includes(error.errno);
}

/** A system call that may fail: gives minus the error number then. Interrupted calls are made again. */
export function tryCall(number: number, ...values: Argument[]): number {
  for (;;) {
    const result = syscall(number, ...values);
    if (result !== -abi.EINTR) return result;
  }
}

/** A system call. @throws SystemError that names the call and its subject */
export function call(name: string, subject: string, number: number, ...values: Argument[]): number {
  const result = tryCall(number, ...values);
  if (result < 0) throw new SystemError(name, subject, -result);
  return result;
}

/** A zeroed structure and the view to fill or read it with. */
export function structure(size: number): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(size);
  return { bytes, view: new DataView(bytes.buffer) };
}
