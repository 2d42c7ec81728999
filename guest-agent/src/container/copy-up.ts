// `tmpcopyup`: a tmpfs that begins with what it covers. The image's files are hostile: no link is followed, no device or
// fifo opened, and what is open is what was looked at.
import { decodeUtf8 } from 'tskata-sys';
import * as abi from '../linux/abi.gen.ts';
import { call, isErrno, tryCall } from '../linux/call.ts';
import {
  changeMode,
  changeOwner,
  close,
  type DirectoryEntry,
  directoryEntries,
  type FileStatus,
  open,
  pathOfFd,
  statusOfFd,
  tryRead,
  typeOf,
  withFd,
  writeAll,
} from '../linux/file.ts';
import { duplicateAbove } from '../linux/process.ts';

/** Directories in one another: more than any image has, and less than descriptors may be open. */
const DEPTH_MAX = 256;
/** Bytes that are copied at a time. */
const PART_BYTES = 64 * 1024;
/** Longest list of names, and longest value, of extended attributes (XATTR_LIST_MAX, XATTR_SIZE_MAX in linux/limits.h). */
const ATTRIBUTE_BYTES_MAX = 65536;

type Name = DirectoryEntry['name'];

/**
 * Copies what is in the directory `source` into the empty file system `target`, and the directory's own attributes.
 * @param data options of `target`: what they set is not copied
 * @throws Error that names what did not fit, SystemError
 */
export function copyUp(source: number, target: number, data: string, destination: string): void {
  const [from, made] = [statusOfFd(source, destination), statusOfFd(target, destination)];
  new Copy(target).fill(source, destination);
  const uid = /(^|,)uid=/.test(data) ? made.uid : from.uid;
  const gid = /(^|,)gid=/.test(data) ? made.gid : from.gid;
  copyAttributes(source, target, { ...from, uid, gid, mode: made.mode }, destination);
}

/** A directory that is being copied. */
interface Level {
  readonly source: number;
  readonly target: number;
  readonly status: FileStatus;
  /** What is still to be copied of it. */
  readonly entries: DirectoryEntry[];
  /** For messages. */
  readonly shown: string;
  /** From the copy's root, with a slash at the end. */
  readonly path: Uint8Array;
}

class Copy {
  readonly #root: number;
  /** From the root down to where the copy is: a list, because the engine's stack is too small for deep images. */
  readonly #levels: Level[] = [];
  /** Paths of the copies of files with several names, by identity of the original. */
  readonly #copies = new Map<string, Name>();

  constructor(root: number) {
    this.#root = root;
  }

  /** Copies what is in `source`. An error leaves directories open: it ends the process. */
  fill(source: number, shown: string): void {
    const status = statusOfFd(source, shown);
    this.#enter(source, duplicateAbove(this.#root, 0), status, shown, new Uint8Array(0));
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      const entry = level.entries.pop();
      if (entry !== undefined) {
        this.#copyEntry(level, entry.name);
        continue;
      }
      this.#levels.pop();
      // Last: what is made in a directory changes its times.
      if (this.#levels.length > 0) copyAttributes(level.source, level.target, level.status, level.shown);
      close(level.source);
      close(level.target);
    }
  }

  #enter(handle: number, target: number, status: FileStatus, shown: string, path: Uint8Array): void {
    if (this.#levels.length > DEPTH_MAX)
      throw new Error(`tmpcopyup: ${shown}: more than ${DEPTH_MAX} directories deep`);
    const source = open('.', abi.O_RDONLY | abi.O_DIRECTORY, 0, handle);
    this.#levels.push({ source, target, status, entries: directoryEntries(source, shown), shown, path });
  }

  #copyEntry(level: Level, name: Name): void {
    const shown = `${level.shown}/${decodeUtf8(name.subarray(0, -1))}`;
    try {
      withFd(openName(level.source, name, abi.O_PATH, shown), (entry) => this.#copyOpen(level, entry, name, shown));
    } catch (error) {
      if (!isErrno(error, abi.ENOSPC, abi.EDQUOT)) throw error;
      throw new Error(`tmpcopyup: ${shown} does not fit: give the tmpfs a larger size or nr_inodes`, { cause: error });
    }
  }

  #copyOpen({ target, path: parent }: Level, entry: number, name: Name, shown: string): void {
    const path = new Uint8Array([...parent, ...name]);
    const status = statusOfFd(entry, shown);
    const type = typeOf(status);
    if (type === abi.S_IFDIR) {
      call('mkdir', shown, abi.SYS_mkdirat, target, name, OWNER_ONLY);
      const copy = openName(target, name, abi.O_RDONLY | abi.O_DIRECTORY, shown);
      path[path.length - 1] = SLASH;
      this.#enter(entry, copy, status, shown, path);
      return;
    }
    if (type === abi.S_IFREG) {
      if (this.#linkToCopy(status, target, name, path, shown)) return;
      copyContent(entry, target, name, status.size, shown);
    } else if (type === abi.S_IFLNK) {
      call('symlink', shown, abi.SYS_symlinkat, linkTarget(entry, shown), target, name);
    } else {
      call('mknod', shown, abi.SYS_mknodat, target, name, type | OWNER_ONLY, status.device);
    }
    withFd(openName(target, name, abi.O_PATH, shown), (copy) => copyAttributes(entry, copy, status, shown));
  }

  /** One more name for a file that has been copied already. @returns false where it has not */
  #linkToCopy(status: FileStatus, target: number, name: Name, path: Name, shown: string): boolean {
    if (status.links === 1n) return false;
    const first = this.#copies.get(status.identity);
    if (first === undefined) {
      this.#copies.set(status.identity, path);
      return false;
    }
    call('link', shown, abi.SYS_linkat, this.#root, first, target, name, 0);
    return true;
  }
}

const SLASH = '/'.charCodeAt(0);
/** Until the right ones are set nobody else may use it. */
const OWNER_ONLY = 0o700;

function openName(at: number, name: Name, flags: number, shown: string): number {
  return call('open', shown, abi.SYS_openat, at, name, flags | abi.O_NOFOLLOW | abi.O_CLOEXEC, 0);
}

function linkTarget(link: number, shown: string): Name {
  const bytes = new Uint8Array(4096);
  const length = call('readlink', shown, abi.SYS_readlinkat, link, '', bytes, bytes.length - 1);
  return bytes.subarray(0, length + 1);
}

/** Copies a regular file, and leaves its holes holes. @param entry O_PATH */
function copyContent(entry: number, target: number, name: Name, size: bigint, shown: string): void {
  const flags = abi.O_WRONLY | abi.O_CREAT | abi.O_EXCL | abi.O_CLOEXEC;
  const copy = call('open', shown, abi.SYS_openat, target, name, flags, OWNER_ONLY);
  withFd(copy, () => {
    withFd(open(pathOfFd(entry), abi.O_RDONLY), (source) => {
      let offset = tryCall(abi.SYS_lseek, source, 0, abi.SEEK_DATA);
      // Minus ENXIO: only a hole is left.
      while (offset >= 0) {
        const end = call('lseek', shown, abi.SYS_lseek, source, offset, abi.SEEK_HOLE);
        for (const fd of [source, copy]) call('lseek', shown, abi.SYS_lseek, fd, offset, abi.SEEK_SET);
        if (!copyPart(source, copy, end - offset, shown)) break;
        offset = tryCall(abi.SYS_lseek, source, end, abi.SEEK_DATA);
      }
    });
    call('ftruncate', shown, abi.SYS_ftruncate, copy, size);
  });
}

/** @returns false when the file ended before `length` bytes, as one may that is written to meanwhile */
function copyPart(source: number, copy: number, length: number, shown: string): boolean {
  const buffer = new Uint8Array(PART_BYTES);
  for (let rest = length; rest > 0; ) {
    const part = tryRead(source, buffer.subarray(0, Math.min(rest, PART_BYTES)));
    if (part <= 0) return false;
    writeAll(copy, buffer.subarray(0, part), shown);
    rest -= part;
  }
  return true;
}

/** Owner first, which clears set-user-ID bits and capabilities; times last, which everything else changes. */
function copyAttributes(source: number, copy: number, status: FileStatus, shown: string): void {
  changeOwner(copy, status.uid, status.gid, shown);
  if (typeOf(status) !== abi.S_IFLNK) changeMode(copy, status.mode & abi.ALLPERMS, shown);
  copyExtendedAttributes(source, copy, shown);
  call('utimensat', shown, abi.SYS_utimensat, copy, '', status.times, abi.AT_EMPTY_PATH);
}

function copyExtendedAttributes(source: number, copy: number, shown: string): void {
  const path = pathOfFd(source);
  // A file without any, or a file system without them: most are.
  if (tryCall(abi.SYS_listxattr, path, null, 0) <= 0) return;
  const names = new Uint8Array(ATTRIBUTE_BYTES_MAX);
  const length = call('listxattr', shown, abi.SYS_listxattr, path, names, names.length);
  const value = new Uint8Array(ATTRIBUTE_BYTES_MAX);
  for (let start = 0; start < length; ) {
    const end = names.indexOf(0, start) + 1;
    const name = names.subarray(start, end);
    start = end;
    const size = tryCall(abi.SYS_getxattr, path, name, value, value.length);
    if (size < 0) continue;
    const result = tryCall(abi.SYS_setxattr, pathOfFd(copy), name, value, size, 0);
    // A tmpfs has not all kinds, and a user namespace may not set them all. Everything else is a copy that is none.
    if (result >= 0 || result === -abi.EOPNOTSUPP || result === -abi.EPERM) continue;
    call('setxattr', shown, abi.SYS_setxattr, pathOfFd(copy), name, value, size, 0);
  }
}
