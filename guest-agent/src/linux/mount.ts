// mount(2) and its relatives. Mounts are made detached, readied through their descriptor, and attached last: nobody can
// exchange what is at a path in between, and nobody sees a mount that is not ready.
import { decodeUtf8 } from 'tskata-sys';
import * as abi from './abi.gen.ts';
import { call, isErrno, SystemError, structure, tryCall } from './call.ts';
import { readText, tryRead, withFd } from './file.ts';

/** mount(2). Empty source, type and data stand for null pointers. */
export function mount(source: string, target: string, type: string, flags: number, data = ''): void {
  const orNull = (text: string): string | null => (text === '' ? null : text);
  const subject = `${type === '' ? source || 'flags' : type} on ${target}`;
  // The kernel wants a source string for every new mount; "none" is what mount(8) shows for an empty one.
  const from = source === '' && type !== '' ? type : orNull(source);
  call('mount', subject, abi.SYS_mount, from, target, orNull(type), flags, orNull(data));
}

export function unmount(target: string, flags = 0): void {
  call('umount', target, abi.SYS_umount2, target, flags);
}

export function pivotRoot(newRoot: string, putOld: string): void {
  call('pivot_root', newRoot, abi.SYS_pivot_root, newRoot, putOld);
}

export function changeRoot(path: string): void {
  call('chroot', path, abi.SYS_chroot, path);
}

export function changeDirectory(path: string): void {
  call('chdir', path, abi.SYS_chdir, path);
}

/** Whether the working directory can be reached from this process's root. */
export function isInsideRoot(): boolean {
  // getcwd(2): a path that does not begin at the root begins with "(unreachable)"; one that is gone gives ENOENT.
  const path = new Uint8Array(abi.PATH_MAX);
  return tryCall(abi.SYS_getcwd, path, path.length) > 0 && path[0] === '/'.charCodeAt(0);
}

export function changeDirectoryToFd(fd: number, subject: string): void {
  call('fchdir', subject, abi.SYS_fchdir, fd);
}

/** What of a mount is to change. */
interface MountChange {
  /** MOUNT_ATTR_*. */
  readonly set?: number;
  readonly clear?: number;
  /** MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE. */
  readonly propagation?: number;
  /** A user namespace, for MOUNT_ATTR_IDMAP. */
  readonly userNamespace?: number;
  /** The mounts below as well. */
  readonly recursive: boolean;
}

/** mount_setattr(2) of the mount whose root is open as `fd`. */
function changeMount(fd: number, subject: string, change: MountChange): void {
  const { bytes, view } = structure(abi.SIZEOF_mount_attr);
  view.setBigUint64(abi.OFFSETOF_mount_attr_attr_set, BigInt(change.set ?? 0), true);
  view.setBigUint64(abi.OFFSETOF_mount_attr_attr_clr, BigInt(change.clear ?? 0), true);
  view.setBigUint64(abi.OFFSETOF_mount_attr_propagation, BigInt(change.propagation ?? 0), true);
  view.setBigUint64(abi.OFFSETOF_mount_attr_userns_fd, BigInt(change.userNamespace ?? 0), true);
  const flags = abi.AT_EMPTY_PATH | (change.recursive ? abi.AT_RECURSIVE : 0);
  call('mount_setattr', subject, abi.SYS_mount_setattr, fd, '', flags, bytes, bytes.length);
}

/** Sets and clears attributes (`MOUNT_ATTR_*`) of the mount whose root is open as `fd`, and with `recursive` of those below. */
export function setMountAttributes(fd: number, subject: string, set: number, clear: number, recursive = false): void {
  changeMount(fd, subject, { set, clear, recursive });
}

/** Sets the propagation of a mount. @param flags MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, with MS_REC for those below */
export function setPropagation(fd: number, subject: string, flags: number): void {
  changeMount(fd, subject, { propagation: flags & ~abi.MS_REC, recursive: (flags & abi.MS_REC) !== 0 });
}

/** Lets the files of a detached mount appear with the ids that a user namespace maps theirs to. */
export function mapIds(fd: number, subject: string, userNamespace: number, recursive: boolean): void {
  try {
    changeMount(fd, subject, { set: abi.MOUNT_ATTR_IDMAP, userNamespace, recursive });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const about = `ids of ${subject}, whose file system (${fileSystemOf(fd)}) may have no id-mapped mounts`;
    throw new SystemError('mount_setattr', about, error.errno);
  }
}

/** Type of the file system that is open as `fd`; of a detached mount, by another mount of the same. */
function fileSystemOf(fd: number): string {
  const { bytes, view } = structure(abi.SIZEOF_stat);
  if (tryCall(abi.SYS_fstat, fd, bytes) < 0) return 'unknown';
  const device = view.getBigUint64(abi.OFFSETOF_stat_st_dev, true);
  // new_encode_dev in include/linux/kdev_t.h, and the field major:minor of proc_pid_mountinfo(5)
  const number = `${(device >> 8n) & 0xfffn}:${(device & 0xffn) | ((device >> 12n) & 0xfff00n)}`;
  const line = readText('/proc/self/mountinfo')
    .split('\n')
    .find((text) => text.split(' ')[2] === number);
  return line?.split(' - ')[1]?.split(' ')[0] ?? 'unknown';
}

/** A detached copy of what is mounted at `path`, as of a bind mount. @param path from `at`; empty for `at` itself */
export function copyMount(at: number, path: string, subject: string, recursive: boolean): number {
  const flags = abi.OPEN_TREE_CLONE | abi.OPEN_TREE_CLOEXEC | abi.AT_EMPTY_PATH | (recursive ? abi.AT_RECURSIVE : 0);
  return call('open_tree', subject, abi.SYS_open_tree, at, path, flags);
}

/** Attaches a detached mount where `target` is open. `mount` is the root of the attached one from then on. */
export function attachMount(mount: number, target: number, subject: string): void {
  const flags = abi.MOVE_MOUNT_F_EMPTY_PATH | abi.MOVE_MOUNT_T_EMPTY_PATH;
  call('move_mount', subject, abi.SYS_move_mount, mount, '', target, '', flags);
}

/** What a new mount of a file system is made from. */
export interface NewMount {
  readonly type: string;
  /** A device, or any name; the type where it is empty. */
  readonly source: string;
  /** MS_* for the file system: read-only, synchronous and the like. Those of the mount alone are `attributes`. */
  readonly flags: number;
  /** Options of the file system itself, as for mount(8): `size=64k,mode=755`. */
  readonly data: string;
  /** MOUNT_ATTR_* */
  readonly attributes: number;
}

/**
 * MS_* that are options of the file system, by the kernel's name for them (common_set_sb_flag in fs/fs_context.c).
 * MS_SILENT and MS_I_VERSION have none: the file systems that count versions do it always.
 */
const FILE_SYSTEM_FLAGS: readonly (readonly [flag: number, name: string])[] = [
  [abi.MS_RDONLY, 'ro'],
  [abi.MS_SYNCHRONOUS, 'sync'],
  [abi.MS_DIRSYNC, 'dirsync'],
  [abi.MS_MANDLOCK, 'mand'],
  [abi.MS_LAZYTIME, 'lazytime'],
];

/** A new, detached mount (fsopen(2), fsconfig(2), fsmount(2)). The kernel's own words are in the error. */
export function newMount({ type, source, flags, data, attributes }: NewMount): number {
  return withFd(openFileSystem(type), (fd) => {
    const configure = (command: number, key: string | null, value: string | null): void => {
      const result = tryCall(abi.SYS_fsconfig, fd, command, key, value, 0);
      if (result < 0) throw new SystemError('mount', `${type}${complaintsOf(fd)}`, -result);
    };
    configure(abi.FSCONFIG_SET_STRING, 'source', source === '' ? type : source);
    for (const [flag, name] of FILE_SYSTEM_FLAGS) {
      if ((flags & flag) !== 0) configure(abi.FSCONFIG_SET_FLAG, name, null);
    }
    // A comma before a digit is part of a list of numbers, as in mpol=bind:0,2 (tmpfs(5)).
    for (const option of data.split(/,(?!\d)/)) {
      const [key = '', ...value] = option.split('=');
      if (key === '') continue;
      if (value.length === 0) configure(abi.FSCONFIG_SET_FLAG, key, null);
      else configure(abi.FSCONFIG_SET_STRING, key, value.join('='));
    }
    configure(abi.FSCONFIG_CMD_CREATE, null, null);
    const result = tryCall(abi.SYS_fsmount, fd, abi.FSMOUNT_CLOEXEC, attributes);
    if (result < 0) throw new SystemError('mount', `${type}${complaintsOf(fd)}`, -result);
    return result;
  });
}

function openFileSystem(type: string): number {
  try {
    return call('mount', type, abi.SYS_fsopen, type, abi.FSOPEN_CLOEXEC);
  } catch (error) {
    if (!isErrno(error, abi.ENODEV)) throw error;
    throw new SystemError('mount', `${type}, which is no file system of the guest's kernel`, abi.ENODEV);
  }
}

/** What the kernel has said while a file system was configured, in brackets. (`e tmpfs: Unknown parameter 'x'`) */
function complaintsOf(fd: number): string {
  const bytes = new Uint8Array(512);
  const lines: string[] = [];
  for (let length = tryRead(fd, bytes); length > 0; length = tryRead(fd, bytes)) {
    lines.push(decodeUtf8(bytes.subarray(0, length)).slice(2).trim());
  }
  return lines.length === 0 ? '' : ` (${lines.join('; ')})`;
}

/** Makes the mount private that holds `path`, whatever is mounted at `path` itself. @param path absolute, without links */
export function makeParentPrivate(path: string): void {
  for (let end = path.length; ; end = path.lastIndexOf('/', end - 1)) {
    const candidate = path.slice(0, end) || '/';
    try {
      mount('', candidate, '', abi.MS_PRIVATE);
      return;
    } catch (error) {
      // mount(2): EINVAL where no mount begins.
      if (candidate === '/' || !isErrno(error, abi.EINVAL)) throw error;
    }
  }
}
