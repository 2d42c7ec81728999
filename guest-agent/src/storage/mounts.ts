// File systems that the host has the guest mount below /run/tskata.
import type { MountFilesystemRequest } from '../../../src/protocol/agent.gen.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import { parseMountOptions } from '../container/config/mount-options.ts';
import type { EventLoop } from '../event-loop.ts';
import type { Helpers } from '../helpers.ts';
import * as abi from '../linux/abi.gen.ts';
import { call, isErrno, SystemError, structure } from '../linux/call.ts';
import { open, pathOfFd, statusOf, typeOf, withFd } from '../linux/file.ts';
import { mount, unmount } from '../linux/mount.ts';
import { openMadeDirectory, removeDirectories, withPlace } from './guest-tree.ts';

/** How long a device that the VM gets while it runs may take to be there, and how often it is looked for. */
const DEVICE_MAX_MS = 5000;
const DEVICE_INTERVAL_MS = 20;

export class GuestMounts {
  readonly #loop: EventLoop;
  readonly #helpers: Helpers;
  /** Per path of a mount, how many directories were made for it. */
  readonly #made = new Map<string, number>();
  /** Paths that are being mounted or unmounted. */
  readonly #busy = new Set<string>();

  constructor(loop: EventLoop, helpers: Helpers) {
    this.#loop = loop;
    this.#helpers = helpers;
  }

  /** @throws StatusError, and nothing is left then */
  async mount(request: MountFilesystemRequest): Promise<void> {
    const { type, source, path, options } = request;
    const { bind, flags, propagations } = parseMountOptions(options);
    if (!/^[\w.-]+$/.test(type) || type === 'bind' || bind !== 'no' || (flags & abi.MS_REMOUNT) !== 0) {
      const message = `${path}: only new mounts of a file system are made here, and "${type}" with [${options}] is none`;
      throw new StatusError('INVALID_ARGUMENT', message);
    }
    if (propagations.length > 0) throw new StatusError('INVALID_ARGUMENT', `${path}: mounts of the guest are private`);
    await this.#alone(path, async () => {
      if (source.startsWith('/dev/')) await this.#awaitBlockDevice(source);
      const [made = 0] = await this.#helpers.run(() => Uint8Array.of(mountAt(request)));
      this.#made.set(path, made);
    });
  }

  /** @throws StatusError */
  async unmount(path: string): Promise<void> {
    await this.#alone(path, async () => {
      await this.#helpers.run(() => {
        unmountAt(path);
        return NOTHING;
      });
      removeDirectories(path, this.#made.get(path) ?? 0);
      this.#made.delete(path);
    });
  }

  /** One at a time: what is found out about a path holds until the end. */
  async #alone(path: string, action: () => Promise<void>): Promise<void> {
    if (this.#busy.has(path)) {
      throw new StatusError(
        'FAILED_PRECONDITION',
        `${path} is being mounted or unmounted: wait for the answer to that`,
      );
    }
    this.#busy.add(path);
    try {
      await action();
    } finally {
      this.#busy.delete(path);
    }
  }

  async #awaitBlockDevice(path: string): Promise<void> {
    for (let waitedMs = 0; ; waitedMs += DEVICE_INTERVAL_MS) {
      try {
        if (typeOf(statusOf(path)) === abi.S_IFBLK) return;
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

const NOTHING = new Uint8Array(0);

/** @returns how many directories were made for it. @throws StatusError, and nothing is left then */
function mountAt(request: MountFilesystemRequest): number {
  const { type, source, path } = request;
  const { flags, data } = parseMountOptions(request.options);
  const { fd, made } = openMadeDirectory(path);
  return withFd(fd, () => {
    try {
      if (isMountRoot(fd, path)) throw new StatusError('ALREADY_EXISTS', `${path} has a mount: unmount it first`);
      mount(source, pathOfFd(fd), type, flags, data);
      return made;
    } catch (error) {
      removeDirectories(path, made);
      if (!(error instanceof SystemError)) throw error;
      const message = `${type} of "${source}" cannot be mounted at ${path}: ${reasonOf(error, request)}`;
      throw new StatusError('FAILED_PRECONDITION', message, {}, { cause: error });
    }
  });
}

/** @throws StatusError */
function unmountAt(path: string): void {
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
