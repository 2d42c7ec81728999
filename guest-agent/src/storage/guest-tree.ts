// Steps down the tree below /run/tskata. Containers may have bound parts of it and write there: every step is taken from an open
// directory, and none through a symbolic link, so that no name that they exchange leads anywhere else.
import { GUEST_DIRECTORY } from '../../../src/protocol/agent-service.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import * as abi from '../linux/abi.gen.ts';
import { call, isErrno } from '../linux/call.ts';
import { close, makeDirectories, open, withFd } from '../linux/file.ts';
import { namesBelow } from './guest-path.ts';

const DIRECTORY_MODE = 0o755;
const HANDLE = abi.O_PATH | abi.O_DIRECTORY | abi.O_NOFOLLOW;

/** The directory above a path, open, and the last name of the path. */
export interface Place {
  readonly parent: number;
  readonly name: string;
}

/** Opens a directory that is there. @throws StatusError when the name is something else */
function stepInto(at: number, name: string, path: string): number {
  try {
    return open(name, HANDLE, 0, at);
  } catch (error) {
    // With O_PATH a symbolic link is opened itself, and is no directory (open(2)).
    if (!isErrno(error, abi.ENOTDIR, abi.ELOOP)) throw error;
    const message = `"${name}" in ${path} is no directory: symbolic links are not followed`;
    throw new StatusError('FAILED_PRECONDITION', message, {}, { cause: error });
  }
}

function stepIntoMade(at: number, name: string, path: string, onMade: () => void): number {
  try {
    return stepInto(at, name, path);
  } catch (error) {
    if (!isErrno(error, abi.ENOENT)) throw error;
  }
  call('mkdir', path, abi.SYS_mkdirat, at, name, DIRECTORY_MODE);
  onMade();
  return stepInto(at, name, path);
}

/** Walks down `names`, each by `step`. @returns the open directory at their end */
function walk(names: readonly string[], step: (at: number, name: string) => number): number {
  makeDirectories(GUEST_DIRECTORY);
  let fd = open(GUEST_DIRECTORY, HANDLE);
  for (const name of names) {
    const above = fd;
    try {
      fd = step(above, name);
    } finally {
      close(above);
    }
  }
  return fd;
}

/** Runs `action` where a path is, or would be. @throws StatusError, SystemError ENOENT when a directory above it is missing */
export function withPlace<T>(path: string, action: (place: Place) => T): T {
  const names = namesBelow(path);
  const name = names.at(-1) ?? '';
  const parent = walk(names.slice(0, -1), (at, next) => stepInto(at, next, path));
  return withFd(parent, () => action({ parent, name }));
}

/** The same, with the directories above the path made if they are missing. */
export function withMadePlace<T>(path: string, action: (place: Place) => T): T {
  const names = namesBelow(path);
  const name = names.at(-1) ?? '';
  const parent = walk(names.slice(0, -1), (at, next) => stepIntoMade(at, next, path, () => {}));
  return withFd(parent, () => action({ parent, name }));
}

/**
 * Opens a directory as a handle, and makes it and those above it if they are missing.
 * @returns the handle, and how many directories were made. On an error none of them stays.
 */
export function openMadeDirectory(path: string): { fd: number; made: number } {
  let made = 0;
  try {
    const fd = walk(namesBelow(path), (at, name) => stepIntoMade(at, name, path, () => made++));
    return { fd, made };
  } catch (error) {
    removeDirectories(path, made);
    throw error;
  }
}

/** Removes a directory and those above it, `count` in all, as far as they are empty. */
export function removeDirectories(path: string, count: number): void {
  const names = namesBelow(path);
  for (let left = count; left > 0; left--, names.pop()) {
    try {
      const at = `${GUEST_DIRECTORY}/${names.join('/')}`;
      withPlace(at, ({ parent, name }) => call('rmdir', at, abi.SYS_unlinkat, parent, name, abi.AT_REMOVEDIR));
    } catch (error) {
      // Somebody uses it, or has removed it.
      if (!isErrno(error, abi.ENOENT, abi.ENOTEMPTY, abi.EBUSY)) throw error;
    }
  }
}
