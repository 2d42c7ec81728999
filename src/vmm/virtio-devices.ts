// The virtio devices that a configuration asks for, each with its back end opened.

import type { BalloonDevice } from '../devices/virtio/balloon/device.ts';
import type { ConsoleDevice } from '../devices/virtio/console/device.ts';
import type { VirtioDevice } from '../devices/virtio/device.ts';
import { MemoryDevice } from '../devices/virtio/mem/device.ts';
import type { NetDevice } from '../devices/virtio/net/device.ts';
import { EntropyDevice } from '../devices/virtio/rng/device.ts';
import { fillRandom } from '../host/random.ts';
import { messageOf } from '../lib/errors.ts';
import { MIB } from '../lib/units.ts';
import type { VmConfig } from './config.ts';
import { balloon } from './devices/balloon.ts';
import { virtioConsole } from './devices/console.ts';
import { disk } from './devices/disk.ts';
import type { BackendContext } from './devices/kind.ts';
import { net } from './devices/net.ts';
import { share } from './devices/share.ts';
import { vsock } from './devices/vsock.ts';
import type { GrowthMemory } from './growth-memory.ts';

/** The devices of a VM, and those among them of which more can be asked than what their driver asks. */
export interface OpenedDevices {
  /** In the order in which the guest finds them. */
  readonly all: readonly VirtioDevice[];
  readonly nets: readonly NetDevice[];
  readonly console?: ConsoleDevice;
  readonly balloon?: BalloonDevice;
  readonly memory?: MemoryDevice;
}

/**
 * Opens the back ends and makes the devices.
 * @param growth memory that can be plugged
 * @throws VmConfigError, RawFileError, SystemError, UnixListenerError, BackEndError, VhostUserError, TapError
 */
export async function openVirtioDevices(
  config: VmConfig,
  context: BackendContext,
  growth: GrowthMemory | undefined,
): Promise<OpenedDevices> {
  const all: VirtioDevice[] = [];
  const nets: NetDevice[] = [];
  for (const one of config.disks ?? []) all.push(await disk.open(one, context));
  for (const one of config.nets ?? []) nets.push(await net.open(one, context));
  all.push(...nets);
  if (config.vsock !== undefined) all.push(await vsock.open(config.vsock, context));
  for (const one of config.shares ?? []) all.push(await share.open(one, context));
  const opened = {
    ...(config.console === undefined ? {} : { console: await virtioConsole.open(config.console, context) }),
    ...(config.balloon === undefined ? {} : { balloon: await balloon.open(config.balloon, context) }),
    ...(growth === undefined ? {} : { memory: memoryDevice(config, growth, context) }),
  };
  all.push(...Object.values(opened));
  if (config.entropy ?? true) all.push(new EntropyDevice({ fill: (bytes) => fillRandom(bytes) }));
  return { all, nets, ...opened };
}

function memoryDevice(config: VmConfig, growth: GrowthMemory, { log }: BackendContext): MemoryDevice {
  const { memoryMib, maxMemoryMib = memoryMib } = config;
  return new MemoryDevice({
    backend: growth,
    layout: growth.region,
    maximumSize: (maxMemoryMib - memoryMib) * MIB,
    onError: (error) => log(`the guest's memory stays as it is: ${messageOf(error)}`),
  });
}
