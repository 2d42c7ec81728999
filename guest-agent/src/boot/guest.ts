// Pid 1 of a guest: from the kernel's initramfs to a root that containers can be made on.
import { messageOf } from '../../../src/lib/errors.ts';
import * as abi from '../linux/abi.gen.ts';
import { isOpen, makeDirectory, open, symbolicLink, writeText } from '../linux/file.ts';
import { changeDirectory, changeRoot, mount } from '../linux/mount.ts';
import { setHostname } from '../linux/process.ts';
import { bringUp, setNonBlocking } from '../linux/socket.ts';
import { log, STDERR } from '../log.ts';
import { applyKernelSettings } from './kernel-settings.ts';

const NO_PROGRAMS = abi.MS_NOSUID | abi.MS_NODEV | abi.MS_NOEXEC;

/** File systems of the guest itself, in the order they are mounted. */
const MOUNTS: readonly (readonly [type: string, path: string, flags: number, options: string])[] = [
  ['proc', '/proc', NO_PROGRAMS, ''],
  ['sysfs', '/sys', NO_PROGRAMS, ''],
  ['devtmpfs', '/dev', abi.MS_NOSUID, 'mode=0755'],
  ['devpts', '/dev/pts', abi.MS_NOSUID | abi.MS_NOEXEC, 'gid=5,mode=620,ptmxmode=666'],
  ['tmpfs', '/dev/shm', NO_PROGRAMS & ~abi.MS_NOEXEC, 'mode=1777'],
  ['tmpfs', '/run', abi.MS_NOSUID | abi.MS_NODEV, 'mode=0755'],
  ['cgroup2', '/sys/fs/cgroup', NO_PROGRAMS, 'nsdelegate'],
];

/** Where the initramfs has an empty directory for the new root. */
const NEW_ROOT = '/root';

/** Readies the guest. @throws SystemError for what containers cannot do without */
export function bootGuest(): void {
  enterNewRoot();
  for (const [type, path, flags, options] of MOUNTS) {
    makeDirectory(path);
    mount('', path, type, flags, options);
  }
  for (const [target, path] of [
    ['/proc/self/fd', '/dev/fd'],
    ['/proc/self/fd/0', '/dev/stdin'],
    ['/proc/self/fd/1', '/dev/stdout'],
    ['/proc/self/fd/2', '/dev/stderr'],
  ] as const) {
    symbolicLink(target, path);
  }
  openStandardStreams();
  // The guest can do without a container, but not without its agent.
  writeText('/proc/self/oom_score_adj', '-1000');
  try {
    bringUp('lo');
  } catch (error) {
    log(`no loopback network: ${messageOf(error)}`);
  }
  applyKernelSettings();
  // A container without a name of its own sees this one, not the kernel's "(none)".
  setHostname('localhost');
}

/**
 * Leaves the initramfs: pivot_root(2) is impossible while it is the root ("The rootfs ... cannot be pivoted",
 * Documentation/filesystems/ramfs-rootfs-initramfs.rst).
 */
function enterNewRoot(): void {
  mount('', NEW_ROOT, 'tmpfs', abi.MS_NOSUID | abi.MS_NODEV, 'mode=0755');
  changeDirectory(NEW_ROOT);
  mount('.', '/', '', abi.MS_MOVE);
  changeRoot('.');
  changeDirectory('/');
}

/** Without a console the kernel starts pid 1 with no standard streams, and the next file opened would become one. */
function openStandardStreams(): void {
  for (let fd = 0; fd <= 2; fd++) {
    // open(2) gives the lowest free number, which is this one. What is printed goes to the kernel's log then.
    if (!isOpen(fd)) open(fd === 0 ? '/dev/null' : '/dev/kmsg', fd === 0 ? abi.O_RDONLY : abi.O_WRONLY);
  }
  // Whoever stops the console's output (termios(3), IXON) must not stop the agent.
  setNonBlocking(STDERR);
}
