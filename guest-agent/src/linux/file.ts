// Files: open, read, write, and what stands in a directory.
import { decodeUtf8, encodeUtf8 } from 'tskata-sys';
import * as abi from './abi.gen.ts';
import { call, isErrno, structure, tryCall } from './call.ts';

/** Opens a file. `O_CLOEXEC` is always added. @param at directory that a relative path starts from */
export function open(path: string, flags: number, mode = 0, at: number = abi.AT_FDCWD): number {
  return call('open', path, abi.SYS_openat, at, path, flags | abi.O_CLOEXEC, mode);
}

/**
 * Opens a path as a process would see it whose root is the directory `root`: no symbolic link and no `..` leads out of it.
 * (openat2(2), RESOLVE_IN_ROOT)
 * @param options.followLinks whether symbolic links on the way, the last name among them, may be followed at all
 */
export function openInRoot(root: number, path: string, flags: number, { followLinks = true } = {}): number {
  const { bytes, view } = structure(abi.SIZEOF_open_how);
  view.setBigUint64(abi.OFFSETOF_open_how_flags, BigInt(flags | abi.O_CLOEXEC), true);
  const resolve = abi.RESOLVE_IN_ROOT | abi.RESOLVE_NO_MAGICLINKS | (followLinks ? 0 : abi.RESOLVE_NO_SYMLINKS);
  view.setBigUint64(abi.OFFSETOF_open_how_resolve, BigInt(resolve), true);
  return call('openat2', path, abi.SYS_openat2, root, path, bytes, bytes.length);
}

/** The path under which /proc shows an open file of this process: usable where a system call wants a path. */
export function pathOfFd(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

export function close(fd: number): void {
  // Whatever close(2) says, the descriptor is gone: there is nothing to do about an error here.
  tryCall(abi.SYS_close, fd);
}

/** Runs `action` with an open file and closes it afterwards. */
export function withFd<T>(fd: number, action: (fd: number) => T): T {
  try {
    return action(fd);
  } finally {
    close(fd);
  }
}

/** Reads up to `bytes.length` bytes. @returns how many; 0 at the end of the file; minus the error number */
export function tryRead(fd: number, bytes: Uint8Array): number {
  return tryCall(abi.SYS_read, fd, bytes, bytes.length);
}

/** Writes what fits. @returns how many bytes; minus the error number */
export function tryWrite(fd: number, bytes: Uint8Array): number {
  return tryCall(abi.SYS_write, fd, bytes, bytes.length);
}

/** Writes all of it to a blocking descriptor. */
export function writeAll(fd: number, bytes: Uint8Array, subject: string): void {
  for (let rest = bytes; rest.length > 0; ) {
    rest = rest.subarray(call('write', subject, abi.SYS_write, fd, rest, rest.length));
  }
}

/** A file that is nowhere, to read from its start, closed on exec: a pipe would have to be fed, and could break. */
export function memoryFile(name: string, bytes: Uint8Array): number {
  const fd = call('memfd_create', name, abi.SYS_memfd_create, name, abi.MFD_CLOEXEC);
  writeAll(fd, bytes, name);
  call('lseek', name, abi.SYS_lseek, fd, 0, abi.SEEK_SET);
  return fd;
}

/** Reads until the end of the file. */
export function readAll(fd: number, subject: string): Uint8Array {
  const parts: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    const part = new Uint8Array(4096);
    const length = call('read', subject, abi.SYS_read, fd, part, part.length);
    if (length === 0) break;
    parts.push(part.subarray(0, length));
    total += length;
  }
  const whole = new Uint8Array(total);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

export function readText(path: string): string {
  return withFd(open(path, abi.O_RDONLY), (fd) => decodeUtf8(readAll(fd, path)));
}

/** Writes text into a file that is there, in one write(2): the way of /proc, /sys and cgroups. */
export function writeText(path: string, text: string): void {
  withFd(open(path, abi.O_WRONLY), (fd) => writeAll(fd, encodeUtf8(text), path));
}

/** Makes a directory unless it is there. */
export function makeDirectory(path: string, mode = 0o755, at: number = abi.AT_FDCWD): void {
  try {
    call('mkdir', path, abi.SYS_mkdirat, at, path, mode);
  } catch (error) {
    if (!isErrno(error, abi.EEXIST)) throw error;
  }
}

/** Makes a directory and those above it. */
export function makeDirectories(path: string): void {
  for (let end = path.indexOf('/', 1); end > 0; end = path.indexOf('/', end + 1)) makeDirectory(path.slice(0, end));
  makeDirectory(path);
}

export function removeDirectory(path: string): void {
  call('rmdir', path, abi.SYS_unlinkat, abi.AT_FDCWD, path, abi.AT_REMOVEDIR);
}

export function symbolicLink(target: string, path: string, at: number = abi.AT_FDCWD): void {
  call('symlink', path, abi.SYS_symlinkat, target, at, path);
}

export function readLink(path: string, at: number): string {
  const bytes = new Uint8Array(4096);
  const length = call('readlink', path, abi.SYS_readlinkat, at, path, bytes, bytes.length);
  return decodeUtf8(bytes.subarray(0, length));
}

/** The path that the kernel knows an open file by: from this process's root, without links. */
export function realPathOf(fd: number): string {
  return readLink(pathOfFd(fd), abi.AT_FDCWD);
}

/** mknod(2). @param mode permissions and one of S_IFCHR, S_IFBLK, S_IFIFO, S_IFREG */
export function makeNode(path: string, mode: number, device: number, at: number = abi.AT_FDCWD): void {
  call('mknod', path, abi.SYS_mknodat, at, path, mode, device);
}

/** Changes the owner of what is open as `fd`, of whatever type. */
export function changeOwner(fd: number, uid: number, gid: number, subject: string): void {
  call('chown', subject, abi.SYS_fchownat, fd, '', uid, gid, abi.AT_EMPTY_PATH);
}

/** Changes the permissions of what is open as `fd`, with O_PATH too; not those of a symbolic link, which has none. */
export function changeMode(fd: number, mode: number, subject: string): void {
  call('chmod', subject, abi.SYS_chmod, pathOfFd(fd), mode);
}

/** /dev/null (Documentation/admin-guide/devices.txt: 1 char, 3) */
const NULL_DEVICE = deviceNumber(1, 3);

/** Whether an open file, or a handle of one, is the null device. */
export function isNullDevice(fd: number): boolean {
  const status = statusOfFd(fd, `descriptor ${fd}`);
  return typeOf(status) === abi.S_IFCHR && status.device === NULL_DEVICE;
}

/** Gives an open pipe or terminal to a user, where that is possible. /dev/null stays everybody's. */
export function tryGiveTo(fd: number, uid: number): void {
  if (isNullDevice(fd)) return;
  tryCall(abi.SYS_fchown, fd, uid, -1);
}

/** Removes a file that may be missing. */
export function tryRemoveFile(path: string, at: number): void {
  tryCall(abi.SYS_unlinkat, at, path, 0);
}

/** Gives a file one more name. @throws SystemError EEXIST where there is something of that name */
export function linkFile(path: string, name: string): void {
  call('link', name, abi.SYS_linkat, abi.AT_FDCWD, path, abi.AT_FDCWD, name, 0);
}

/** Writes a file that is there with all of the text, or as it was. */
export function replaceFile(path: string, text: string, mode: number): void {
  const temporary = `${path}.new`;
  const fd = open(temporary, abi.O_WRONLY | abi.O_CREAT | abi.O_TRUNC, mode);
  withFd(fd, () => writeAll(fd, encodeUtf8(text), temporary));
  call('rename', path, abi.SYS_renameat, abi.AT_FDCWD, temporary, abi.AT_FDCWD, path);
}

/** Fails unless this process may execute the file, judged as execve(2) does: with the effective ids and capabilities. */
export function requireExecutable(path: string): void {
  call('eaccess', path, abi.SYS_faccessat2, abi.AT_FDCWD, path, abi.X_OK, abi.AT_EACCESS);
}

/** Whether a descriptor is open. */
export function isOpen(fd: number): boolean {
  return tryCall(abi.SYS_fcntl, fd, abi.F_GETFD, 0) >= 0;
}

/** Device number as the kernel takes it (new_encode_dev in include/linux/kdev_t.h). */
export function deviceNumber(major: number, minor: number): number {
  return (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12);
}

export interface FileStatus {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of a device node: what it stands for. */
  readonly device: number;
  readonly links: bigint;
  /** Names the file in this system: its file system's number and its own. */
  readonly identity: string;
  /** Bytes. */
  readonly size: bigint;
  /** Two struct timespec, of the last access and the last change: what utimensat(2) takes. */
  readonly times: Uint8Array;
}

/** Bytes of a struct timespec. */
const TIMESPEC_BYTES = 16;

function timespecAt(view: DataView, offset: number): Uint8Array {
  return new Uint8Array(view.buffer, offset, TIMESPEC_BYTES);
}

function parseStatus(view: DataView): FileStatus {
  return {
    mode: view.getUint32(abi.OFFSETOF_stat_st_mode, true),
    uid: view.getUint32(abi.OFFSETOF_stat_st_uid, true),
    gid: view.getUint32(abi.OFFSETOF_stat_st_gid, true),
    device: Number(view.getBigUint64(abi.OFFSETOF_stat_st_rdev, true)),
    links: view.getBigUint64(abi.OFFSETOF_stat_st_nlink, true),
    identity: `${view.getBigUint64(abi.OFFSETOF_stat_st_dev, true)}:${view.getBigUint64(abi.OFFSETOF_stat_st_ino, true)}`,
    size: view.getBigUint64(abi.OFFSETOF_stat_st_size, true),
    times: new Uint8Array([
      ...timespecAt(view, abi.OFFSETOF_stat_st_atim),
      ...timespecAt(view, abi.OFFSETOF_stat_st_mtim),
    ]),
  };
}

export function statusOfFd(fd: number, subject: string): FileStatus {
  const { bytes, view } = structure(abi.SIZEOF_stat);
  call('fstat', subject, abi.SYS_fstat, fd, bytes);
  return parseStatus(view);
}

export function statusOf(path: string): FileStatus {
  const { bytes, view } = structure(abi.SIZEOF_stat);
  call('stat', path, abi.SYS_newfstatat, abi.AT_FDCWD, path, bytes, 0);
  return parseStatus(view);
}

export function isDirectory(status: FileStatus): boolean {
  return typeOf(status) === abi.S_IFDIR;
}

/** S_IFREG, S_IFDIR and so on. */
export function typeOf(status: FileStatus): number {
  return status.mode & abi.S_IFMT;
}

/** Magic number of the file system that is open as `fd`: PROC_SUPER_MAGIC and the like. */
export function fileSystemMagic(fd: number, subject: string): number {
  const { bytes, view } = structure(abi.SIZEOF_statfs);
  call('fstatfs', subject, abi.SYS_fstatfs, fd, bytes);
  return Number(view.getBigInt64(abi.OFFSETOF_statfs_f_type, true));
}

export interface DirectoryEntry {
  /** As the kernel has it: bytes that need not be UTF-8, with a NUL at the end. */
  readonly name: Uint8Array;
  /** DT_DIR and the like, or DT_UNKNOWN. */
  readonly type: number;
}

/** What stands in an open directory, without `.` and `..`. */
export function directoryEntries(fd: number, subject: string): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  const buffer = new Uint8Array(4096);
  const view = new DataView(buffer.buffer);
  for (;;) {
    const length = call('getdents64', subject, abi.SYS_getdents64, fd, buffer, buffer.length);
    if (length === 0) return entries;
    // struct linux_dirent64: d_ino (8 bytes), d_off (8), d_reclen (2), d_type (1), d_name (ends with a NUL)
    for (let offset = 0; offset < length; ) {
      const end = offset + view.getUint16(offset + 16, true);
      const name = buffer.slice(offset + 19, buffer.indexOf(0, offset + 19) + 1);
      const type = view.getUint8(offset + 18);
      offset = end;
      const text = decodeUtf8(name.subarray(0, -1));
      if (text !== '.' && text !== '..') entries.push({ name, type });
    }
  }
}

/** Names of what stands in a directory, without `.` and `..`. */
export function listDirectory(path: string): string[] {
  return withFd(open(path, abi.O_RDONLY | abi.O_DIRECTORY), (fd) =>
    directoryEntries(fd, path).map(({ name }) => decodeUtf8(name.subarray(0, -1))),
  );
}
