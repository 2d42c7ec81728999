// What a VM is made of, said to others: `tsvm ctl state`, reports.

import {
  VIRTIO_ID_BALLOON,
  VIRTIO_ID_BLOCK,
  VIRTIO_ID_CONSOLE,
  VIRTIO_ID_FS,
  VIRTIO_ID_MEM,
  VIRTIO_ID_NET,
  VIRTIO_ID_RNG,
  VIRTIO_ID_VSOCK,
} from '../devices/virtio/abi.gen.ts';
import type { VirtioDevice } from '../devices/virtio/device.ts';
import { present } from '../lib/present.ts';
import type { VmConfig } from './config.ts';
import type { ConsoleName, VmSummary } from './operations.ts';

const TYPES: ReadonlyMap<number, string> = new Map([
  [VIRTIO_ID_NET, 'net'],
  [VIRTIO_ID_BLOCK, 'block'],
  [VIRTIO_ID_CONSOLE, 'console'],
  [VIRTIO_ID_RNG, 'rng'],
  [VIRTIO_ID_BALLOON, 'balloon'],
  [VIRTIO_ID_VSOCK, 'vsock'],
  [VIRTIO_ID_FS, 'fs'],
  [VIRTIO_ID_MEM, 'mem'],
]);

/** The word for a VIRTIO_ID_* number. */
export function deviceType(deviceId: number): string {
  return TYPES.get(deviceId) ?? `virtio-${deviceId}`;
}

/** @param config what the VM was built of; without a kernel when it was restored from a snapshot */
export function summarizeVm(
  config: Omit<VmConfig, 'kernelPath'> & { readonly kernelPath?: string },
  devices: readonly Pick<VirtioDevice, 'name' | 'deviceId'>[],
): VmSummary {
  const { kernelPath, initrdPath, commandLine = '', memoryMib, cpus, vsock, serial = false } = config;
  const { maxMemoryMib = memoryMib, maxCpus = cpus } = config;
  const summaries = devices.map(({ name, deviceId }) => ({ name, type: deviceType(deviceId) }));
  const consoles: ConsoleName[] = serial ? ['serial'] : [];
  if (summaries.some(({ type }) => type === 'console')) consoles.push('hvc0');
  return {
    ...present({ kernelPath, initrdPath }),
    commandLine,
    memoryMib,
    maxMemoryMib,
    cpus,
    maxCpus,
    ...(vsock === undefined ? {} : { guestCid: vsock.guestCid }),
    devices: summaries,
    consoles,
  };
}
