// Files, directories and symbolic links below /run/tskata.
import { encodeUtf8 } from 'tskata-sys';
import type { CopyFileRequest } from '../../../src/protocol/agent.gen.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import * as abi from '../linux/abi.gen.ts';
import { call, isErrno } from '../linux/call.ts';
import {
  close,
  makeDirectory,
  open,
  statusOfFd,
  symbolicLink,
  tryRemoveFile,
  typeOf,
  withFd,
  writeAll,
} from '../linux/file.ts';
import { type Place, withMadePlace } from './guest-tree.ts';

const PERMISSIONS = 0o7777;
const OWNER_ONLY = 0o600;
const WORLD_READABLE = 0o644;

/** Files whose last piece has not come yet: of more, the oldest is given up. */
const UNFINISHED_MAX = 16;

/** A file that is being written under a name of its own. */
interface Unfinished {
  readonly fd: number;
  readonly parent: number;
  readonly temporaryName: string;
  written: bigint;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Writes into a file that keeps its identity, made if it is missing. In one write(2): a reader sees the old or the new text. */
export function overwriteFile(path: string, text: string): void {
  withMadePlace(path, ({ parent, name }) => {
    // O_NONBLOCK: a pipe in the file's place is not waited for.
    const flags = abi.O_WRONLY | abi.O_CREAT | abi.O_NOFOLLOW | abi.O_NONBLOCK;
    withFd(open(name, flags, WORLD_READABLE, parent), (fd) => {
      if (typeOf(statusOfFd(fd, path)) !== abi.S_IFREG) {
        throw new StatusError('FAILED_PRECONDITION', `${path} is no file: remove it`);
      }
      const bytes = encodeUtf8(text);
      orNoRoom(path, () => {
        writeAll(fd, bytes, path);
        call('ftruncate', path, abi.SYS_ftruncate, fd, bytes.length);
      });
    });
  });
}

/** Runs what may fill a file system. @throws StatusError RESOURCE_EXHAUSTED when it is full */
function orNoRoom(path: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!isErrno(error, abi.ENOSPC, abi.EDQUOT)) throw error;
    const message = `no room for ${path} in the guest: its file system is full`;
    throw new StatusError('RESOURCE_EXHAUSTED', message, {}, { cause: error });
  }
}

/** What CopyFile has begun. */
export class FileCopies {
  readonly #unfinished = new Map<string, Unfinished>();
  #serial = 0;

  /** @throws StatusError; SystemError */
  copy(request: CopyFileRequest): void {
    const { path, mode, content } = request;
    if (mode > PERMISSIONS) {
      throw new StatusError(
        'INVALID_ARGUMENT',
        `mode 0${mode.toString(8)} of ${path}: only permissions, at most 07777`,
      );
    }
    if (content === undefined) throw new StatusError('INVALID_ARGUMENT', `${path}: say what it is to be`);
    if (content.$case === 'directory') makeOwnedDirectory(path, mode, request);
    else if (content.$case === 'symbolicLink') this.#link(path, content.value, request);
    else this.#take(request, content.value);
  }

  /** Gives up what is unfinished below a directory: it would keep its file system in use. */
  giveUpBelow(directory: string): void {
    for (const path of this.#unfinished.keys()) if (path.startsWith(`${directory}/`)) this.#giveUp(path);
  }

  #link(path: string, target: string, owner: Owner): void {
    if (target === '') throw new StatusError('INVALID_ARGUMENT', `the symbolic link ${path} needs a target`);
    withMadePlace(path, (place) => {
      const temporaryName = this.#temporaryName();
      symbolicLink(target, temporaryName, place.parent);
      orRemove(place.parent, temporaryName, () => {
        const { uid, gid } = owner;
        call('chown', path, abi.SYS_fchownat, place.parent, temporaryName, uid, gid, abi.AT_SYMLINK_NOFOLLOW);
        replace(place, temporaryName, path);
      });
    });
  }

  /** Takes a piece of a file, in its order. */
  #take(request: CopyFileRequest, data: Uint8Array): void {
    const { path, offset, size } = request;
    const end = offset + BigInt(data.length);
    if (end > size) {
      throw new StatusError('INVALID_ARGUMENT', `${path}: a piece ends at ${end}, beyond the size ${size}`);
    }
    if (offset === 0n) this.#giveUp(path);
    const unfinished = offset === 0n ? this.#begin(path) : this.#unfinished.get(path);
    if (unfinished === undefined || unfinished.written !== offset) {
      const expected = unfinished === undefined ? 'the first, at 0' : `the one at ${unfinished.written}`;
      throw new StatusError('FAILED_PRECONDITION', `${path}: a piece at ${offset} came instead of ${expected}`);
    }
    try {
      orNoRoom(path, () => writeAll(unfinished.fd, data, path));
      unfinished.written = end;
      if (end < size) return;
      // The owner first: a change of it takes the set-user-ID bit away (chown(2)).
      call('chown', path, abi.SYS_fchown, unfinished.fd, request.uid, request.gid);
      call('chmod', path, abi.SYS_fchmod, unfinished.fd, request.mode);
      const name = path.slice(path.lastIndexOf('/') + 1);
      replace({ parent: unfinished.parent, name }, unfinished.temporaryName, path);
      this.#forget(path, unfinished);
    } catch (error) {
      this.#giveUp(path);
      throw error;
    }
  }

  #begin(path: string): Unfinished {
    const [oldest] = this.#unfinished.keys();
    if (this.#unfinished.size >= UNFINISHED_MAX && oldest !== undefined) this.#giveUp(oldest);
    return withMadePlace(path, ({ parent }) => {
      const temporaryName = this.#temporaryName();
      const fd = open(temporaryName, abi.O_WRONLY | abi.O_CREAT | abi.O_EXCL, OWNER_ONLY, parent);
      const kept = open('.', abi.O_PATH | abi.O_DIRECTORY, 0, parent);
      const unfinished = { fd, parent: kept, temporaryName, written: 0n };
      this.#unfinished.set(path, unfinished);
      return unfinished;
    });
  }

  #giveUp(path: string): void {
    const unfinished = this.#unfinished.get(path);
    if (unfinished === undefined) return;
    tryRemoveFile(unfinished.temporaryName, unfinished.parent);
    this.#forget(path, unfinished);
  }

  #forget(path: string, unfinished: Unfinished): void {
    close(unfinished.fd);
    close(unfinished.parent);
    this.#unfinished.delete(path);
  }

  #temporaryName(): string {
    this.#serial += 1;
    return `.tskata-copy-${this.#serial}`;
  }
}

/** A directory that is there already gets the mode and the owner. */
function makeOwnedDirectory(path: string, mode: number, { uid, gid }: Owner): void {
  withMadePlace(path, ({ parent, name }) => {
    makeDirectory(name, mode, parent);
    withFd(openDirectory(parent, name, path), (fd) => {
      call('chown', path, abi.SYS_fchown, fd, uid, gid);
      call('chmod', path, abi.SYS_fchmod, fd, mode);
    });
  });
}

function openDirectory(parent: number, name: string, path: string): number {
  try {
    return open(name, abi.O_RDONLY | abi.O_DIRECTORY | abi.O_NOFOLLOW, 0, parent);
  } catch (error) {
    if (!isErrno(error, abi.ENOTDIR, abi.ELOOP)) throw error;
    throw new StatusError('ALREADY_EXISTS', `${path} is there and is no directory: remove it`, {}, { cause: error });
  }
}

/** Gives a finished file its name, in the place of what has it. */
function replace({ parent, name }: Place, temporaryName: string, path: string): void {
  call('rename', path, abi.SYS_renameat, parent, temporaryName, parent, name);
}

function orRemove(parent: number, name: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    tryRemoveFile(name, parent);
    throw error;
  }
}
