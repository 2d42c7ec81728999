// The virtio devices that a configuration asks for, each with its back end opened.
import { randomFillSync } from 'node:crypto';
import { join } from 'node:path';
import { BlockDevice } from '../devices/virtio/block/device.ts';
import type { VirtioDevice } from '../devices/virtio/device.ts';
import { FS_QUEUE, FsDevice } from '../devices/virtio/fs/device.ts';
import { EntropyDevice } from '../devices/virtio/rng/device.ts';
import type { Timers } from '../devices/virtio/timers.ts';
import { VsockDevice } from '../devices/virtio/vsock/device.ts';
import { RawFile } from '../host/raw-file.ts';
import { type SharedMemory, VhostUserFrontEnd } from '../host/vhost-user.ts';
import { Virtiofsd } from '../host/virtiofsd.ts';
import { VsockUnixHost } from '../host/vsock-unix.ts';
import { messageOf } from '../lib/errors.ts';
import type { DiskConfig, ShareConfig, VmConfig, VsockConfig } from './config.ts';

export interface BackendContext {
  /** Guest RAM, for back ends in other processes. */
  readonly memory: readonly SharedMemory[];
  /** Folder for the sockets of back ends. */
  readonly runtimeDirectory: string;
  readonly log: (line: string) => void;
  /** A back end that the guest cannot do without has ended. */
  readonly onEnd: (error: Error) => void;
  /** Takes what must be released after the devices. */
  readonly resources: AsyncDisposableStack;
}

const timers: Timers = {
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

/**
 * Opens the back ends and makes the devices, in the order in which the guest finds them.
 * @throws RawFileError, SystemError, VsockUnixError, VirtiofsdError, VhostUserError
 */
export async function openVirtioDevices(config: VmConfig, context: BackendContext): Promise<VirtioDevice[]> {
  const devices: VirtioDevice[] = [];
  for (const disk of config.disks) devices.push(await openDisk(disk, context));
  if (config.vsock !== undefined) devices.push(await openVsock(config.vsock, context));
  for (const [index, share] of config.shares.entries()) devices.push(await openShare(share, index, context));
  if (config.entropy) devices.push(new EntropyDevice({ fill: (bytes) => randomFillSync(bytes) }));
  return devices;
}

async function openDisk({ path, readOnly, id }: DiskConfig, { resources, log }: BackendContext): Promise<BlockDevice> {
  const backend = resources.use(await RawFile.open(path, { readOnly }));
  return new BlockDevice({ name: path, id, backend, onError: (error) => log(`${path}: ${messageOf(error)}`) });
}

async function openVsock({ guestCid, path }: VsockConfig, { resources }: BackendContext): Promise<VsockDevice> {
  const host = resources.use(new VsockUnixHost(path));
  const device = new VsockDevice({ guestCid, host, timers });
  await host.listen(device);
  return device;
}

async function openShare({ tag, directory }: ShareConfig, index: number, context: BackendContext): Promise<FsDevice> {
  const { memory, runtimeDirectory, onEnd, resources } = context;
  const socketPath = join(runtimeDirectory, `virtiofsd-${index}.sock`);
  resources.use(await Virtiofsd.start({ sharedDirectory: directory, socketPath, onEnd }));
  const queueCount = FS_QUEUE.request + 1;
  const backend = resources.use(new VhostUserFrontEnd({ path: socketPath, memory, queueCount }));
  return new FsDevice({ tag, backend });
}
