// Failed system calls as errors that say what to do.
import { constants } from 'node:os';
import { TskataError } from '../lib/errors.ts';

/** Second names of EAGAIN and EOPNOTSUPP: one number has one code here. */
const ALIASES = ['EWOULDBLOCK', 'ENOTSUP'];

const NAMES = new Map(
  Object.entries(constants.errno)
    .filter(([name]) => !ALIASES.includes(name))
    .map(([name, number]) => [number, name]),
);

/** What helps against an errno, whatever the system call was. */
const ADVICE: Readonly<Record<string, string>> = {
  EACCES: 'check the permissions of the file and the folders above it',
  EPERM: 'run as root, or with the capability that this call needs',
  ENOENT: 'check that it exists',
  ENOMEM: 'free some memory, or raise the limits (ulimit, cgroup memory.max, vm.overcommit_memory)',
  EMFILE: 'raise the limit of open files of this process (ulimit -n)',
  ENFILE: 'raise the limit of open files of the machine (sysctl fs.file-max)',
  ENOSPC: 'free some space on the file system, or raise the limit of this kind of object',
  ECONNREFUSED: 'check that the server is running',
  EBUSY: 'end whoever uses it',
};

/** "ENOENT" for 2; "errno 9999" for what the C library has no name for. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}

/** A system call failed. `code` is the name of the errno (`EACCES`), as in Node's own errors. */
export class SystemError extends TskataError<string> {
  readonly syscall: string;
  readonly errno: number;
  readonly path?: string;

  /** @param subject what the call was made on: a path, or words such as "guest RAM of 512 MiB" */
  constructor(syscall: string, errno: number, subject?: string, advice?: string) {
    const name = errnoName(errno);
    const on = subject === undefined ? '' : ` on ${subject}`;
    const help = advice ?? ADVICE[name];
    super(name, `${syscall}${on} failed with ${name}${help === undefined ? '' : `: ${help}`}`, {
      syscall,
      errno,
      subject,
    });
    this.syscall = syscall;
    this.errno = errno;
    if (subject !== undefined) this.path = subject;
  }
}
