// qemu-storage-daemon, the program that serves disk images of other formats than raw.
import { statSync } from 'node:fs';
import { messageOf } from '../lib/errors.ts';
import { BackEndError, BackEndProcess, findProgram } from './back-end-process.ts';

/** Formats of images that it knows by these names; some variants of them it can only read, and says so. */
export const IMAGE_FORMATS = ['qcow2', 'vmdk', 'vdi', 'vhdx', 'vpc', 'qed'] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];

export interface StorageDaemonOptions {
  /** An image, or a block device that holds one. Images that it is based on are found by what it says of them. */
  readonly path: string;
  /** Never guessed from what is in the image: a guest could write there that it is an image of some file of the host. */
  readonly format: ImageFormat;
  /** @default false */
  readonly readOnly?: boolean;
  /** Called when it ends by itself, never after its disposal. */
  readonly onEnd?: (failure: BackEndError) => void;
}

const PROGRAMS = [{ path: '/usr/bin/qemu-storage-daemon' }];

/** The command line; options are JSON, where no file name means anything else. @param fd the socket that it listens on */
export function storageDaemonCommand(
  { path, format, readOnly = false }: StorageDaemonOptions,
  program: string,
  isBlockDevice: boolean,
  fd: number,
): string[] {
  const file = {
    driver: isBlockDevice ? 'host_device' : 'file',
    'node-name': 'file',
    filename: path,
    'read-only': readOnly,
    discard: 'unmap',
  };
  const image = { driver: format, 'node-name': 'image', file: 'file', 'read-only': readOnly, discard: 'unmap' };
  const server = {
    type: 'vhost-user-blk',
    id: 'disk',
    'node-name': 'image',
    writable: !readOnly,
    addr: { type: 'fd', str: String(fd) },
  };
  return [
    program,
    '--blockdev',
    JSON.stringify(file),
    '--blockdev',
    JSON.stringify(image),
    '--export',
    JSON.stringify(server),
  ];
}

/**
 * Starts a qemu-storage-daemon.
 * @throws BackEndError NOT_FOUND when the image or the program is not there; SystemError
 */
export function startStorageDaemon(options: StorageDaemonOptions): BackEndProcess {
  const { path, onEnd } = options;
  const isBlockDevice = isBlockDeviceAt(path);
  const advice = 'install the package qemu-utils (Debian 13) or qemu-system-common (Debian 12)';
  const program = findProgram('qemu-storage-daemon', PROGRAMS, advice);
  return new BackEndProcess({
    name: `${program.path}, serving ${path}`,
    command: (fd) => storageDaemonCommand(options, program.path, isBlockDevice, fd),
    socket: 'listening',
    // It keeps in memory where in the image the guest's data is, until a flush or its end.
    endSignal: 'SIGTERM',
    ...(onEnd === undefined ? {} : { onEnd }),
  });
}

function isBlockDeviceAt(path: string): boolean {
  try {
    return statSync(path).isBlockDevice();
  } catch (cause) {
    throw new BackEndError('NOT_FOUND', `cannot open the disk image ${path}: ${messageOf(cause)}`, { path }, { cause });
  }
}
