// Paths inside a root file system that somebody else wrote: nothing in it may lead outside.
import * as abi from '../linux/abi.gen.ts';
import { isErrno, SystemError } from '../linux/call.ts';
import { close, makeDirectory, makeNode, open, openInRoot, readLink, withFd } from '../linux/file.ts';

/** Symbolic links to nowhere that are followed while a path is made: the kernel's own limit (path_resolution(7)). */
const LINKS_MAX = 40;
const FILE_MODE = 0o644;

/** The root directory of a container, before it is pivoted to. */
export class RootDirectory {
  readonly fd: number;

  constructor(path: string) {
    this.fd = open(path, abi.O_PATH | abi.O_DIRECTORY);
  }

  /** Opens a path as a handle for mounts. */
  handle(path: string, options: { followLinks?: boolean } = {}): number {
    return openInRoot(this.fd, path, abi.O_PATH, options);
  }

  /** Runs `action` with a handle; does nothing when there is no such path. */
  withExisting(path: string, action: (fd: number) => void): void {
    try {
      withFd(this.handle(path), action);
    } catch (error) {
      if (!isErrno(error, abi.ENOENT, abi.ENOTDIR)) throw error;
    }
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
