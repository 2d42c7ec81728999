// The virtio devices that a configuration asks for, each with its back end opened.
import type { VirtioDevice } from '../devices/virtio/device.ts';
import { VsockDevice } from '../devices/virtio/vsock/device.ts';
import { VsockUnixHost } from '../host/vsock-unix.ts';
import type { HostMemory } from '../hypervisor/ports.ts';
import type { GuestAddress } from '../lib/brand.ts';
import type { VmConfig, VsockConfig } from './config.ts';

export interface BackendContext {
  /** Guest RAM, for back ends in other processes. */
  readonly ram: readonly { readonly guestAddress: GuestAddress; readonly host: HostMemory }[];
  readonly connections: { readonly onVsockBytes?: (guestPort: number) => void };
  /** Takes what must be released after the devices. */
  readonly resources: AsyncDisposableStack;
}

/**
 * Opens the back ends and makes the devices, in the order in which the guest finds them.
 * @throws SystemError, VsockUnixError
 */
export async function openVirtioDevices(config: VmConfig, context: BackendContext): Promise<VirtioDevice[]> {
  const devices: VirtioDevice[] = [];
  if (config.vsock !== undefined) devices.push(await openVsock(config.vsock, context));
  return devices;
}

async function openVsock({ guestCid, path }: VsockConfig, context: BackendContext): Promise<VsockDevice> {
  const { onVsockBytes } = context.connections;
  const host = context.resources.use(new VsockUnixHost(path));
  const device = new VsockDevice({
    guestCid,
    host,
    timers: {
      after(delayMs, callback) {
        const timer = setTimeout(callback, delayMs);
        return { [Symbol.dispose]: () => clearTimeout(timer) };
      },
    },
    observer: (ports, direction) => {
      if (direction === 'to-host') onVsockBytes?.(ports.guestPort);
    },
  });
  await host.listen(device);
  return device;
}
