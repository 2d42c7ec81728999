// mount(2) and its relatives.
import * as abi from './abi.gen.ts';
import { call, structure } from './call.ts';

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

export function changeDirectoryToFd(fd: number, subject: string): void {
  call('fchdir', subject, abi.SYS_fchdir, fd);
}

/** Sets and clears attributes (`MOUNT_ATTR_*`) of the mount whose root is open as `fd`, and with `recursive` of those below. */
export function setMountAttributes(fd: number, subject: string, set: number, clear: number, recursive = false): void {
  const { bytes, view } = structure(abi.SIZEOF_mount_attr);
  view.setBigUint64(abi.OFFSETOF_mount_attr_attr_set, BigInt(set), true);
  view.setBigUint64(abi.OFFSETOF_mount_attr_attr_clr, BigInt(clear), true);
  const flags = abi.AT_EMPTY_PATH | (recursive ? abi.AT_RECURSIVE : 0);
  call('mount_setattr', subject, abi.SYS_mount_setattr, fd, '', flags, bytes, bytes.length);
}
