// Processes: making them, what they may do, and how they end.
import { encodeUtf8, execve as sysExecve, trap } from 'tskata-sys';
import * as abi from './abi.gen.ts';
import { call, isErrno, SystemError, structure, tryCall } from './call.ts';

/**
 * fork(2) with new namespaces. Both processes return from it: the parent with the child's pid, the child with 0.
 * This engine has one thread, so the child is a whole copy; it must end in `execute` or `exit`, and never return to the
 * event loop.
 * @param options.cgroupFd the child begins in this cgroup, an open directory: no moment of it is outside of its limits
 * @param options.sibling the child is its caller's brother: the parent's child, that is
 */
export function fork(namespaceFlags: number, options: { cgroupFd?: number; sibling?: boolean } = {}): number {
  const { cgroupFd, sibling = false } = options;
  const { bytes, view } = structure(abi.SIZEOF_clone_args);
  const flags = BigInt(namespaceFlags | (sibling ? abi.CLONE_PARENT : 0));
  const intoCgroup = cgroupFd === undefined ? 0n : BigInt(abi.CLONE_INTO_CGROUP);
  view.setBigUint64(abi.OFFSETOF_clone_args_flags, flags | intoCgroup, true);
  // clone(2): a brother ends with the signal that its caller was made with.
  if (!sibling) view.setBigUint64(abi.OFFSETOF_clone_args_exit_signal, BigInt(abi.SIGCHLD), true);
  if (cgroupFd !== undefined) view.setBigUint64(abi.OFFSETOF_clone_args_cgroup, BigInt(cgroupFd), true);
  // Without a stack of its own the child has a copy of the parent's.
  return call('clone', '', abi.SYS_clone3, bytes, bytes.length);
}

/**
 * fork(2) without new namespaces, by clone(2) alone: a process under a seccomp filter may need it, and filters that look at
 * clone's flags say ENOSYS to clone3, whose flags they cannot see.
 */
export function forkFiltered(): number {
  // x86-64: clone(flags, stack, parent_tid, child_tid, tls); a null stack means the parent's own, copied on write.
  return call('clone', '', abi.SYS_clone, abi.SIGCHLD, 0, 0, 0, 0);
}

/** Waits for a child, and takes it before the reaper does. Only for one that is about to end. */
export function waitForChild(pid: number): Ending {
  const { bytes, view } = structure(4);
  call('wait', `process ${pid}`, abi.SYS_wait4, pid, bytes, abi.__WALL, null);
  return parseWaitStatus(view.getInt32(0, true));
}

export function exit(status: number): never {
  tryCall(abi.SYS_exit_group, status);
  // A seccomp filter forbade it. A copy of the agent must not go on.
  return trap();
}

/** Becomes another program. @throws SystemError when it cannot */
export function execute(path: string, argv: readonly string[], envp: readonly string[]): never {
  throw new SystemError('exec', path, -sysExecve(path, argv, envp));
}

export function unshare(flags: number, subject: string): void {
  call('unshare', subject, abi.SYS_unshare, flags);
}

/** Enters namespaces: of a process (`fd` is a pidfd, `flags` say which) or one (`fd` is a /proc/PID/ns file). */
export function setNamespace(fd: number, flags: number, subject: string): void {
  call('setns', subject, abi.SYS_setns, fd, flags);
}

export function openPidFd(pid: number): number {
  return call('pidfd_open', `process ${pid}`, abi.SYS_pidfd_open, pid, 0);
}

/** Gives this process a duplicate of an open file of another. */
export function takeFd(pid: number, fd: number): number {
  const pidFd = openPidFd(pid);
  try {
    return call('pidfd_getfd', `descriptor ${fd} of process ${pid}`, abi.SYS_pidfd_getfd, pidFd, fd, 0);
  } finally {
    tryCall(abi.SYS_close, pidFd);
  }
}

/** Sends a signal. @returns false when there is no such process any more */
export function kill(pid: number, signal: number): boolean {
  try {
    call('kill', `process ${pid} with signal ${signal}`, abi.SYS_kill, pid, signal);
    return true;
  } catch (error) {
    if (isErrno(error, abi.ESRCH)) return false;
    throw error;
  }
}

/** How a process ended: by itself with a status, or by a signal. */
export interface Ending {
  readonly exitStatus: number;
  /** 0 when the process ended by itself. */
  readonly signal: number;
  readonly coreDumped: boolean;
}

/** Reads a wait status (wait(2); the WIFEXITED, WTERMSIG and WCOREDUMP macros). */
function parseWaitStatus(status: number): Ending {
  const signal = status & 0x7f;
  return { exitStatus: signal === 0 ? (status >> 8) & 0xff : 0, signal, coreDumped: (status & 0x80) !== 0 };
}

/** Takes one child that has ended. @returns undefined when none has */
export function reapChild(): { pid: number; ending: Ending } | undefined {
  const { bytes, view } = structure(4);
  const pid = tryCall(abi.SYS_wait4, -1, bytes, abi.WNOHANG | abi.__WALL, null);
  return pid > 0 ? { pid, ending: parseWaitStatus(view.getInt32(0, true)) } : undefined;
}

/** prctl(2). @returns its result. @param subject what it is about, for the error message */
export function prctl(subject: string, option: number, ...values: number[]): number {
  const [second = 0, third = 0] = values;
  return call('prctl', subject, abi.SYS_prctl, option, second, third, 0, 0);
}

/** RLIM_INFINITY of the kernel: all bits set. */
const RLIM_INFINITY = 2n ** 64n - 1n;

/** Sets a limit of a process, of this one unless it is told which. Values of 2^63 and more mean unlimited. */
export function setLimit(resource: number, name: string, soft: number, hard: number, pid = 0): void {
  const { bytes, view } = structure(16);
  const encode = (value: number): bigint => (value >= 2 ** 63 ? RLIM_INFINITY : BigInt(value));
  view.setBigUint64(0, encode(soft), true);
  view.setBigUint64(8, encode(hard), true);
  call('setrlimit', name, abi.SYS_prlimit64, pid, resource, bytes, null);
}

/** A limit of this process. Unlimited is 2^64. */
export function readLimit(resource: number, name: string): { soft: number; hard: number } {
  const { bytes, view } = structure(16);
  call('getrlimit', name, abi.SYS_prlimit64, 0, resource, null, bytes);
  return { soft: Number(view.getBigUint64(0, true)), hard: Number(view.getBigUint64(8, true)) };
}

/** Sets all user and group ids. Groups first: a plain user may not. */
export function setIds(uid: number, gid: number, additionalGids: readonly number[]): void {
  const groups = new Uint32Array(additionalGids);
  call('setgroups', additionalGids.join(','), abi.SYS_setgroups, groups.length, new Uint8Array(groups.buffer));
  call('setgid', String(gid), abi.SYS_setgid, gid);
  call('setuid', String(uid), abi.SYS_setuid, uid);
}

/** capset(2) for this process; each set is a mask of `1n << capability`. */
export function setCapabilities(effective: bigint, permitted: bigint, inheritable: bigint): void {
  const header = structure(8);
  header.view.setUint32(0, abi._LINUX_CAPABILITY_VERSION_3, true);
  // struct __user_cap_data_struct, once for the low and once for the high 32 capabilities
  const data = structure(24);
  for (const [index, set] of [effective, permitted, inheritable].entries()) {
    data.view.setUint32(4 * index, Number(set & 0xffff_ffffn), true);
    data.view.setUint32(12 + 4 * index, Number(set >> 32n), true);
  }
  call('capset', '', abi.SYS_capset, header.bytes, data.bytes);
}

/** Bytes of the kernel's signal set. */
const SIGSET_BYTES = 8;

/** Sets which signals wait: all of them, or none. */
export function blockSignals(all: boolean): void {
  setSignalMask(new Uint8Array(SIGSET_BYTES).fill(all ? 0xff : 0));
}

/** Lets one signal wait, and no other. */
export function blockOneSignal(signal: number): void {
  setSignalMask(signalSet(signal));
}

function setSignalMask(set: Uint8Array): void {
  call('rt_sigprocmask', '', abi.SYS_rt_sigprocmask, abi.SIG_SETMASK, set, null, SIGSET_BYTES);
}

function signalSet(signal: number): Uint8Array {
  const { bytes, view } = structure(SIGSET_BYTES);
  view.setBigUint64(0, 1n << BigInt(signal - 1), true);
  return bytes;
}

/** A descriptor that becomes readable when a child ends. SIGCHLD must be blocked. */
export function openChildSignals(): number {
  const flags = abi.SFD_CLOEXEC | abi.SFD_NONBLOCK;
  return call('signalfd', '', abi.SYS_signalfd4, -1, signalSet(abi.SIGCHLD), SIGSET_BYTES, flags);
}

/** Begins a session of its own. */
export function startSession(): void {
  call('setsid', '', abi.SYS_setsid);
}

/** Sets the file mode creation mask. */
export function setUmask(mask: number): void {
  call('umask', '', abi.SYS_umask, mask);
}

/** Sets the name of this process's uts namespace. */
export function setHostname(name: string): void {
  const bytes = encodeUtf8(name);
  call('sethostname', name, abi.SYS_sethostname, bytes, bytes.length);
}

/** Sets the NIS domain of this process's uts namespace. */
export function setDomainname(name: string): void {
  const bytes = encodeUtf8(name);
  call('setdomainname', name, abi.SYS_setdomainname, bytes, bytes.length);
}

/** Whether the kernel knows a capability of this number. */
export function isCapabilityKnown(capability: number): boolean {
  return tryCall(abi.SYS_prctl, abi.PR_CAPBSET_READ, capability, 0, 0, 0) >= 0;
}

/** Highest descriptor number there can be. */
const FD_MAX = 0xffff_ffff;

/** Closes all descriptors from this number on. */
export function closeFrom(first: number): void {
  call('close_range', `from ${first}`, abi.SYS_close_range, first, FD_MAX, 0);
}

/** Gives a copy of a descriptor, close-on-exec, with a number that is not below `least`. */
export function duplicateAbove(fd: number, least: number): number {
  return call('fcntl', `descriptor ${fd}`, abi.SYS_fcntl, fd, abi.F_DUPFD_CLOEXEC, least);
}

/** Moves a copy of a descriptor to another number; closed on exec. */
export function duplicateForSetUp(fd: number, number: number): void {
  call('dup3', `descriptor ${fd}`, abi.SYS_dup3, fd, number, abi.O_CLOEXEC);
}

/** Copies an open file to a number that programs know; stays open on exec. */
export function duplicateTo(fd: number, number: number): void {
  if (fd === number) call('fcntl', `descriptor ${fd}`, abi.SYS_fcntl, fd, abi.F_SETFD, 0);
  else call('dup3', `descriptor ${fd}`, abi.SYS_dup3, fd, number, 0);
}
