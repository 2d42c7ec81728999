// Paths inside a root file system that somebody else wrote: nothing in it may lead outside.
import * as abi from '../linux/abi.gen.ts';
import { isErrno, SystemError } from '../linux/call.ts';
import {
  close,
  makeDirectory,
  makeNode,
  open,
  openInRoot,
  readLink,
  realPathOf,
  statusOfFd,
  typeOf,
  withFd,
} from '../linux/file.ts';

/** Symbolic links to nowhere that are followed while a path is made: the kernel's own limit (path_resolution(7)). */
const LINKS_MAX = 40;
const FILE_MODE = 0o644;

/** The root directory of a container, before it is pivoted to. */
export class RootDirectory {
  readonly fd: number;

  /** @param fd of the directory, which must be attached to the tree of mounts */
  constructor(fd: number) {
    this.fd = fd;
  }

  /** Opens a path as a handle for mounts. */
  handle(path: string, options: { followLinks?: boolean } = {}): number {
    return openInRoot(this.fd, path, abi.O_PATH, options);
  }

  /** Opens a path as a handle. @returns undefined when there is no such path */
  find(path: string): number | undefined {
    try {
      return this.handle(path);
    } catch (error) {
      if (!isErrno(error, abi.ENOENT, abi.ENOTDIR)) throw error;
      return undefined;
    }
  }

  /** Runs `action` with a handle; does nothing when there is no such path. */
  withExisting(path: string, action: (fd: number) => void): void {
    const fd = this.find(path);
    if (fd !== undefined) withFd(fd, action);
  }

  /** Where a handle is: its path from this root, without links. @throws Error for one that is not in this root any more */
  pathOf(fd: number): string {
    const root = realPathOf(this.fd);
    const path = realPathOf(fd);
    if (path === root) return '/';
    if (!path.startsWith(`${root}/`)) throw new Error(`${path} is outside of the container's root ${root}`);
    return path.slice(root.length);
  }

  /** Opens a path, and makes it and the directories above it when they are missing. */
  ensure(path: string, kind: 'directory' | 'file', options: { followLinks?: boolean } = {}): number {
    return this.#ensure(path, kind, options, LINKS_MAX);
  }

  #ensure(path: string, kind: 'directory' | 'file', options: { followLinks?: boolean }, linksLeft: number): number {
    try {
      return this.handle(path, options);
    } catch (error) {
      if (!isErrno(error, abi.ENOENT)) throw error;
    }
    const { parent, name } = split(path);
    const parentFd = this.#ensure(parent, 'directory', options, linksLeft);
    try {
      if (kind === 'directory') makeDirectory(name, 0o755, parentFd);
      else makeNode(name, abi.S_IFREG | FILE_MODE, 0, parentFd);
      return this.handle(path, options);
    } catch (error) {
      if (!isErrno(error, abi.ENOENT, abi.EEXIST)) throw error;
      // A symbolic link to nowhere: what it names is what has to be made.
      if (linksLeft === 0) throw new SystemError('open', path, abi.ELOOP);
      const target = readLink(name, parentFd);
      return this.#ensure(target.startsWith('/') ? target : `${parent}/${target}`, kind, options, linksLeft - 1);
    } finally {
      close(parentFd);
    }
  }

  /**
   * Opens a file, made if missing. A link at its very place is refused: what is mounted there would cover what it names.
   * @throws SystemError ELOOP
   */
  ensureOwnFile(path: string): number {
    const { parent, name } = split(path);
    return withFd(this.ensure(parent, 'directory'), (parentFd) => {
      try {
        makeNode(name, abi.S_IFREG | FILE_MODE, 0, parentFd);
      } catch (error) {
        if (!isErrno(error, abi.EEXIST)) throw error;
      }
      const fd = open(name, abi.O_PATH | abi.O_NOFOLLOW, 0, parentFd);
      if (typeOf(statusOfFd(fd, path)) !== abi.S_IFLNK) return fd;
      close(fd);
      throw new SystemError('open', path, abi.ELOOP);
    });
  }

  /** Runs `action` with the directory that holds `path`, made if missing, and the last name of the path. */
  inParent(path: string, action: (parentFd: number, name: string) => void): void {
    const { parent, name } = split(path);
    withFd(this.ensure(parent, 'directory'), (fd) => action(fd, name));
  }
}

function split(path: string): { parent: string; name: string } {
  const trimmed = path.replace(/\/+$/, '');
  const end = trimmed.lastIndexOf('/');
  return { parent: end <= 0 ? '/' : trimmed.slice(0, end), name: trimmed.slice(end + 1) };
}
