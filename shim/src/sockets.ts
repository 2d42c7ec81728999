// The sockets that the shims listen on: files that may outlive who made them.
import * as abi from '../../guest-agent/src/linux/abi.gen.ts';
import { call, isErrno } from '../../guest-agent/src/linux/call.ts';
import { close, linkFile, open, statusOf, tryRemoveFile } from '../../guest-agent/src/linux/file.ts';
import { listen, startConnect } from '../../guest-agent/src/linux/socket.ts';

/** Whether somebody listens there. */
export function isServed(path: string): boolean {
  try {
    close(startConnect({ family: 'unix', path }));
    return true;
  } catch (error) {
    if (isErrno(error, abi.ENOENT, abi.ECONNREFUSED)) return false;
    // Somebody listens who is busy.
    if (isErrno(error, abi.EAGAIN)) return true;
    throw error;
  }
}

/**
 * Listens on a path, unless somebody else does. The socket has its name from the moment on when it listens, and not before: of two who
 * want it one gets it, and the other finds it served.
 * @returns undefined when somebody else does
 */
export function claim(path: string, pid: number): number | undefined {
  const own = `${path}.${pid}`;
  // Of two who find the same dead socket one would remove what the other has just put in its place.
  const lock = lockFolderOf(path);
  try {
    tryRemoveFile(own, abi.AT_FDCWD);
    const socket = listen({ family: 'unix', path: own });
    while (!tryLink(own, path)) {
      if (isServed(path)) {
        close(socket);
        return undefined;
      }
      removeDead(path);
    }
    return socket;
  } finally {
    tryRemoveFile(own, abi.AT_FDCWD);
    close(lock);
  }
}

/** Waits for all others who do. @returns the descriptor whose close ends it */
function lockFolderOf(path: string): number {
  const folder = path.slice(0, path.lastIndexOf('/'));
  const lock = open(folder, abi.O_RDONLY | abi.O_DIRECTORY);
  call('flock', folder, abi.SYS_flock, lock, abi.LOCK_EX);
  return lock;
}

/** Left by one that was killed. @throws SystemError for what is no socket of ours and cannot be removed */
function removeDead(path: string): void {
  try {
    call('unlink', path, abi.SYS_unlinkat, abi.AT_FDCWD, path, 0);
  } catch (error) {
    if (!isErrno(error, abi.ENOENT)) throw error;
  }
}

function tryLink(path: string, name: string): boolean {
  try {
    linkFile(path, name);
    return true;
  } catch (error) {
    if (isErrno(error, abi.EEXIST)) return false;
    throw error;
  }
}

/** A file by its path and by what it is: not the one that somebody else makes there later. */
export class SocketFile {
  readonly path: string;
  readonly #identity: string | undefined;

  constructor(path: string) {
    this.path = path;
    this.#identity = identityOf(path);
  }

  remove(): void {
    if (this.#identity !== undefined && identityOf(this.path) === this.#identity)
      tryRemoveFile(this.path, abi.AT_FDCWD);
  }
}

function identityOf(path: string): string | undefined {
  try {
    return statusOf(path).identity;
  } catch (error) {
    if (isErrno(error, abi.ENOENT)) return undefined;
    throw error;
  }
}
