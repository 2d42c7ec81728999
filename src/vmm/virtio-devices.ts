// The virtio devices that a configuration asks for, each with its back end opened.
import { randomFillSync } from 'node:crypto';
import type { VirtioDevice } from '../devices/virtio/device.ts';
import { EntropyDevice } from '../devices/virtio/rng/device.ts';
import type { VmConfig } from './config.ts';
import { disk } from './devices/disk.ts';
import type { BackendContext } from './devices/kind.ts';
import { net } from './devices/net.ts';
import { share } from './devices/share.ts';
import { vsock } from './devices/vsock.ts';

/**
 * Opens the back ends and makes the devices, in the order in which the guest finds them.
 * @throws VmConfigError, RawFileError, SystemError, TapError, VsockUnixError, BackEndError, VhostUserError
 */
export async function openVirtioDevices(config: VmConfig, context: BackendContext): Promise<VirtioDevice[]> {
  const devices: VirtioDevice[] = [];
  for (const one of config.disks ?? []) devices.push(await disk.open(one, context));
  for (const one of config.nets ?? []) devices.push(await net.open(one, context));
  if (config.vsock !== undefined) devices.push(await vsock.open(config.vsock, context));
  for (const one of config.shares ?? []) devices.push(await share.open(one, context));
  if (config.entropy ?? true) devices.push(new EntropyDevice({ fill: (bytes) => randomFillSync(bytes) }));
  return devices;
}
