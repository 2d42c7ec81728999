// File systems that the host has the guest mount below /run/tskata.
import type { MountFilesystemRequest } from '../../../src/protocol/agent.gen.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import { parseMountOptions } from '../container/config/mount-options.ts';
import type { EventLoop } from '../event-loop.ts';
import * as abi from '../linux/abi.gen.ts';
import { call, isErrno, SystemError, structure } from '../linux/call.ts';
import { close, open, pathOfFd, statusOf, withFd } from '../linux/file.ts';
import { mount, unmount } from '../linux/mount.ts';
import { openMadeDirectory, removeDirectories, withPlace } from './guest-tree.ts';

/** How long a device that the VM gets while it runs may take to be there, and how often it is looked for. */
const DEVICE_MAX_MS = 5000;
const DEVICE_INTERVAL_MS = 20;

export class GuestMounts {
  readonly #loop: EventLoop;
  /** Per path of a mount, how many directories were made for it. */
  readonly #made = new Map<string, number>();

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /** @throws StatusError, and nothing is left then */
  async mount(request: MountFilesystemRequest): Promise<void> {
    const { type, source, path } = request;
    const { bind, flags, propagations, data } = parseMountOptions(request.options);
    if (!/^[\w.-]+$/.test(type) || type === 'bind' || bind !== 'no' || (flags & abi.MS_REMOUNT) !== 0) {
      const message = `${path}: only new mounts of a file system are made here, and "${type}" with [${request.options}] is none`;
      throw new StatusError('INVALID_ARGUMENT', message);
    }
    if (propagations.length > 0) throw new StatusError('INVALID_ARGUMENT', `${path}: mounts of the guest are private`);
    if (source.startsWith('/dev/')) await this.#awaitBlockDevice(source);
    const { fd, made } = openMadeDirectory(path);
    try {
      if (isMountRoot(fd, path)) throw new StatusError('ALREADY_EXISTS', `${path} has a mount: unmount it first`);
      mount(source, pathOfFd(fd), type, flags, data);
      this.#made.set(path, made);
    } catch (error) {
      removeDirectories(path, made);
      if (!(error instanceof SystemError)) throw error;
      const message = `${type} of "${source}" cannot be mounted at ${path}: ${reasonOf(error, request)}`;
      throw new StatusError('FAILED_PRECONDITION', message, {}, { cause: error });
    } finally {
      close(fd);
    }
  }

  /** @throws StatusError */
  unmount(path: string): void {
    try {
      withPlace(path, ({ parent, name }) => {
        if (!withFd(open(name, abi.O_PATH | abi.O_NOFOLLOW, 0, parent), (fd) => isMountRoot(fd, path))) {
          throw new StatusError('NOT_FOUND', `nothing is mounted at ${path}`);
        }
        unmount(`${pathOfFd(parent)}/${name}`, abi.UMOUNT_NOFOLLOW);
      });
    } catch (error) {
      if (isErrno(error, abi.ENOENT))
        throw new StatusError('NOT_FOUND', `nothing is mounted at ${path}: there is no such path`);
      if (!isErrno(error, abi.EBUSY)) throw error;
      const message = `${path} is in use: end what has files open there, and unmount what is mounted below it`;
      throw new StatusError('FAILED_PRECONDITION', message, {}, { cause: error });
    }
    removeDirectories(path, this.#made.get(path) ?? 0);
    this.#made.delete(path);
  }

  async #awaitBlockDevice(path: string): Promise<void> {
    for (let waitedMs = 0; ; waitedMs += DEVICE_INTERVAL_MS) {
      try {
        if ((statusOf(path).mode & abi.S_IFMT) === abi.S_IFBLK) return;
        throw new StatusError('FAILED_PRECONDITION', `${path} is no block device`);
      } catch (error) {
        if (!isErrno(error, abi.ENOENT)) throw error;
        if (waitedMs >= DEVICE_MAX_MS) {
          const message = `the guest has no device ${path}, ${DEVICE_MAX_MS / 1000} seconds after it was asked for`;
          throw new StatusError('NOT_FOUND', message, {}, { cause: error });
        }
      }
      await this.#loop.delay(DEVICE_INTERVAL_MS);
    }
  }
}

/** Whether a handle is of the root of a mount (statx(2)). */
function isMountRoot(fd: number, path: string): boolean {
  const { bytes, view } = structure(abi.SIZEOF_statx);
  call('statx', path, abi.SYS_statx, fd, '', abi.AT_EMPTY_PATH, 0, bytes);
  const attributes = view.getBigUint64(abi.OFFSETOF_statx_stx_attributes, true);
  return (attributes & BigInt(abi.STATX_ATTR_MOUNT_ROOT)) !== 0n;
}

function reasonOf(error: SystemError, { type, source }: MountFilesystemRequest): string {
  if (error.errno === abi.ENODEV) return `the guest's kernel has no file system "${type}"`;
  if (error.errno === abi.EINVAL && type === 'virtiofs')
    return `the VM has no share "${source}", or an option is wrong`;
  if (error.errno === abi.EINVAL) return 'an option is wrong, or there is no such file system on it';
  return error.reason;
}
