// Disks that programs serve: images by qemu-storage-daemon, and whatever listens on a socket.
import { VhostUserBlockDevice } from '../../devices/virtio/block/vhost-user-device.ts';
import { type ImageFormat, startStorageDaemon } from '../../host/storage-daemon.ts';
import { VhostUserFrontEnd } from '../../host/vhost-user.ts';
import { VmConfigError } from '../config-error.ts';
import type { BackendContext } from './kind.ts';

const QUEUE_COUNT = 1;

/** @throws BackEndError, VhostUserError, Error of node:fs (rejects) */
export async function openFormattedDisk(
  path: string,
  format: ImageFormat,
  readOnly: boolean,
  { memory, onEnd, resources }: BackendContext,
): Promise<VhostUserBlockDevice> {
  const program = resources.use(startStorageDaemon({ path, format, readOnly, onEnd }));
  const backend = await program.open((connection) =>
    VhostUserFrontEnd.open({ connection, name: program.name, memory, queueCount: QUEUE_COUNT }),
  );
  return new VhostUserBlockDevice({ name: path, backend: resources.use(backend) });
}

/** @throws VmConfigError when the disk is writable and should not be; VhostUserError (rejects) */
export async function openDiskSocket(
  path: string,
  readOnly: boolean,
  { memory, resources }: BackendContext,
): Promise<VhostUserBlockDevice> {
  const backend = resources.use(await VhostUserFrontEnd.connect({ path, memory, queueCount: QUEUE_COUNT }));
  const device = new VhostUserBlockDevice({ name: path, backend });
  // Only who carries the writes out can refuse them.
  if (readOnly && !device.isReadOnly) {
    throw new VmConfigError('disk ro', 'on', `off, since what listens at ${path} serves a disk that can be written`);
  }
  return device;
}
