// `tmpcopyup`: a tmpfs that begins with what it covers. The image's files are hostile: no link is followed, no device or
// fifo opened, and what is open is what was looked at.
import { decodeUtf8 } from 'tskata-sys';
import * as abi from '../linux/abi.gen.ts';
import { call, isErrno, tryCall } from '../linux/call.ts';
import {
  changeMode,
  changeOwner,
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
  new Copy(target).directory(source, target, { shown: destination, path: new Uint8Array(0), depth: 0 });
  const [from, made] = [statusOfFd(source, destination), statusOfFd(target, destination)];
  const uid = /(^|,)uid=/.test(data) ? made.uid : from.uid;
  const gid = /(^|,)gid=/.test(data) ? made.gid : from.gid;
  copyAttributes(source, target, { ...from, uid, gid, mode: made.mode }, destination);
}

/** Where a copy is at. */
interface Place {
  /** For messages. */
  readonly shown: string;
  /** From the copy's root. */
  readonly path: Uint8Array;
  readonly depth: number;
}

class Copy {
  readonly #root: number;
  /** Paths of the copies of files with several names, by identity of the original. */
  readonly #copies = new Map<string, Name>();

  constructor(root: number) {
    this.#root = root;
  }

  directory(source: number, target: number, place: Place): void {
    if (place.depth > DEPTH_MAX) throw new Error(`tmpcopyup: ${place.shown}: more than ${DEPTH_MAX} directories deep`);
    withFd(open('.', abi.O_RDONLY | abi.O_DIRECTORY, 0, source), (listing) => {
      for (const { name } of directoryEntries(listing, place.shown)) {
        const path = new Uint8Array([...place.path, ...name.subarray(0, -1), SLASH]);
        const inner = { shown: `${place.shown}/${decodeUtf8(name.subarray(0, -1))}`, path, depth: place.depth + 1 };
        try {
          withFd(openName(listing, name, abi.O_PATH, inner.shown), (entry) => this.#entry(entry, target, name, inner));
        } catch (error) {
          if (!isErrno(error, abi.ENOSPC, abi.EDQUOT)) throw error;
          throw new Error(`tmpcopyup: ${inner.shown} does not fit: give the tmpfs a larger size or nr_inodes`, {
            cause: error,
          });
        }
      }
    });
  }

  #entry(entry: number, target: number, name: Name, place: Place): void {
    const { shown } = place;
    const status = statusOfFd(entry, shown);
    const type = typeOf(status);
    if (type === abi.S_IFDIR) {
      call('mkdir', shown, abi.SYS_mkdirat, target, name, OWNER_ONLY);
      withFd(openName(target, name, abi.O_RDONLY | abi.O_DIRECTORY, shown), (copy) =>
        this.directory(entry, copy, place),
      );
    } else if (type === abi.S_IFREG) {
      if (this.#linkToCopy(status, target, name, place)) return;
      copyContent(entry, target, name, status.size, shown);
    } else if (type === abi.S_IFLNK) {
      call('symlink', shown, abi.SYS_symlinkat, linkTarget(entry, shown), target, name);
    } else {
      call('mknod', shown, abi.SYS_mknodat, target, name, type | OWNER_ONLY, status.device);
    }
    withFd(openName(target, name, abi.O_PATH, shown), (copy) => copyAttributes(entry, copy, status, shown));
  }

  /** One more name for a file that has been copied already. @returns false where it has not */
  #linkToCopy(status: FileStatus, target: number, name: Name, { path, shown }: Place): boolean {
    if (status.links === 1n) return false;
    const first = this.#copies.get(status.identity);
    if (first === undefined) {
      this.#copies.set(status.identity, new Uint8Array([...path.subarray(0, -1), 0]));
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
  const names = new Uint8Array(ATTRIBUTE_BYTES_MAX);
  const length = tryCall(abi.SYS_listxattr, pathOfFd(source), names, names.length);
  // A file system without them.
  if (length <= 0) return;
  const value = new Uint8Array(ATTRIBUTE_BYTES_MAX);
  for (let start = 0; start < length; ) {
    const end = names.indexOf(0, start) + 1;
    const name = names.subarray(start, end);
    start = end;
    const size = tryCall(abi.SYS_getxattr, pathOfFd(source), name, value, value.length);
    if (size < 0) continue;
    const result = tryCall(abi.SYS_setxattr, pathOfFd(copy), name, value, size, 0);
    // A tmpfs has not all kinds, and a user namespace may not set them all. Everything else is a copy that is none.
    if (result >= 0 || result === -abi.EOPNOTSUPP || result === -abi.EPERM) continue;
    call('setxattr', shown, abi.SYS_setxattr, pathOfFd(copy), name, value, size, 0);
  }
}
