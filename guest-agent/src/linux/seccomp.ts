// seccomp(2): a filter for this process's system calls, which its children inherit and no execve ends.
import { addressOf } from 'tskata-sys';
import * as abi from './abi.gen.ts';
import { call, structure } from './call.ts';

/** A program for the kernel to judge system calls by. */
export interface SeccompProgram {
  /** struct sock_filter[] */
  readonly instructions: Uint8Array;
  /** SECCOMP_FILTER_FLAG_* */
  readonly flags: number;
}

/**
 * Filters all system calls from now on. Needs no_new_privs, or CAP_SYS_ADMIN in the process's user namespace.
 * @throws SystemError EINVAL for a program that the kernel does not take, EACCES without that right
 */
export function installSeccomp({ instructions, flags }: SeccompProgram): void {
  const { bytes, view } = structure(abi.SIZEOF_sock_fprog);
  const length = instructions.length / abi.SIZEOF_sock_filter;
  view.setUint16(abi.OFFSETOF_sock_fprog_len, length, true);
  view.setBigUint64(abi.OFFSETOF_sock_fprog_filter, addressOf(instructions), true);
  call('seccomp', `filter of ${length} instructions`, abi.SYS_seccomp, abi.SECCOMP_SET_MODE_FILTER, flags, bytes);
}
