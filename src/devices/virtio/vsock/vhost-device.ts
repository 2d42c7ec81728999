// The socket device (virtio 1.3, 5.10) whose packets go between the guest and the host's own AF_VSOCK sockets, moved by the
// kernel. What is left here is to tell a driver after a restore that its connections are gone.
import {
  VIRTIO_F_VERSION_1,
  VIRTIO_ID_VSOCK,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_VSOCK_EVENT_TRANSPORT_RESET,
  VIRTIO_VSOCK_F_SEQPACKET,
  virtio_vsock_event,
} from '../abi.gen.ts';
import type { ActivationContext, ActiveDevice, VirtioDevice } from '../device.ts';
import { interruptIfWanted, requireQueue } from '../drain.ts';
import { featureSet } from '../features.ts';
import type { QueueServer } from '../queue-server.ts';
import { vsockConfigSpace } from './config-space.ts';
import { VSOCK_QUEUE } from './device.ts';

const DATA_QUEUE_SIZE = 256;
const EVENT_QUEUE_SIZE = 16;
const USEFUL_FEATURES = featureSet(
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_VSOCK_F_SEQPACKET,
);

export interface VhostVsockDeviceOptions {
  /** The guest's context id, 3 or above. */
  readonly guestCid: number;
  /** Serves the rx and the tx queue. */
  readonly backend: QueueServer;
}

export class VhostVsockDevice implements VirtioDevice {
  readonly name = 'vsock';
  readonly deviceId = VIRTIO_ID_VSOCK;
  readonly features: bigint;
  readonly queueSizes = [DATA_QUEUE_SIZE, DATA_QUEUE_SIZE, EVENT_QUEUE_SIZE];
  readonly configurationSpace: Uint8Array;
  readonly #backend: QueueServer;

  /** @throws RangeError when the context id is reserved */
  constructor({ guestCid, backend }: VhostVsockDeviceOptions) {
    this.configurationSpace = vsockConfigSpace(guestCid);
    this.#backend = backend;
    this.features = backend.features & USEFUL_FEATURES;
  }

  /**
   * After a restore no connection has its other end any more: the driver is told so (virtio 1.3, 5.10.6.8), and its listeners
   * stay.
   * @throws what the back end throws
   */
  activate(context: ActivationContext): ActiveDevice {
    const queues = this.#backend.start(context);
    let hasLostConnections = context.restored !== undefined;
    return {
      quiesce: () => queues.quiesce(),
      resume: () => {
        if (hasLostConnections) sendTransportReset(context);
        hasLostConnections = false;
        queues.resume();
      },
      saveState: () => ({}),
      [Symbol.dispose]: () => queues[Symbol.dispose](),
    };
  }

  idle(): Promise<void> | undefined {
    return this.#backend.idle();
  }
}

/** @throws QueueError when the driver's queue for events makes no sense */
function sendTransportReset(context: ActivationContext): void {
  const queue = requireQueue(context, VSOCK_QUEUE.event);
  const chain = queue.take();
  // A driver that has given no buffer for events has no use for this one.
  if (chain === undefined || chain.writable.length < virtio_vsock_event.sizeof) return;
  const event = new Uint8Array(virtio_vsock_event.sizeof);
  new DataView(event.buffer).setUint32(virtio_vsock_event.id, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET, true);
  chain.writable.write(0, event);
  queue.putUsed(chain, event.length);
  interruptIfWanted(context, VSOCK_QUEUE.event, queue);
}
