// vhost-net: the kernel moves frames between a tap and the guest's rings by itself.
import type { ActivationContext } from '../devices/virtio/device.ts';
import {
  guestOffloadFeatures,
  guestOffloads,
  hostOffloadFeatures,
  type Offloads,
} from '../devices/virtio/net/offloads.ts';
import type { QueueServer, ServedQueues } from '../devices/virtio/queue-server.ts';
import { setVhostNetBackend } from '../ffi/vhost.unsafe.ts';
import type { Fd } from '../lib/brand.ts';
import { type MappedMemory, VhostDevice, type VhostSwitch } from './vhost.ts';

/** The receive and the transmit queue. */
const QUEUE_COUNT = 2;

/** What vhost-net needs of a tap: its frames have a struct virtio_net_hdr_v1 of 12 bytes in front. */
export interface VhostTap {
  readonly fd: Fd;
  readonly offloads: Offloads;
  setOffloads(offloads: Offloads): void;
}

export interface VhostNetOptions {
  /** Stays the caller's, and is to be disposed after this. */
  readonly tap: VhostTap;
  /** All of the guest's RAM. */
  readonly memory: readonly MappedMemory[];
  /** @default /dev/vhost-net */
  readonly path?: string;
}

export class VhostNet implements QueueServer, Disposable {
  readonly features: bigint;
  readonly #tap: VhostTap;
  readonly #device: VhostDevice;
  readonly #switch: VhostSwitch;

  /** @throws VhostError NO_DEVICE; SystemError */
  constructor({ tap, memory, path = '/dev/vhost-net' }: VhostNetOptions) {
    this.#tap = tap;
    const device = new VhostDevice({ path, module: 'vhost_net', memory });
    this.#device = device;
    // What the frames may be like is the tap's affair: the kernel's vhost only passes their headers on.
    this.features = device.features | hostOffloadFeatures(tap.offloads) | guestOffloadFeatures(tap.offloads);
    const setBackend = (index: number, fd: Fd | undefined): void => setVhostNetBackend(device.fd, index, fd);
    this.#switch = {
      start: (queues) => {
        for (const { index } of queues) setBackend(index, tap.fd);
      },
      stop: (queues) => {
        for (const { index } of queues) setBackend(index, undefined);
      },
    };
  }

  start(context: ActivationContext): ServedQueues {
    this.#tap.setOffloads(guestOffloads(context.features));
    return this.#device.serve(context, QUEUE_COUNT, this.#switch);
  }

  /** The kernel has put everything down when its queues are stopped. */
  idle(): undefined {
    return undefined;
  }

  [Symbol.dispose](): void {
    this.#device[Symbol.dispose]();
  }
}
