// vhost-vsock: the guest is reached by AF_VSOCK sockets of the host, which the kernel connects with the guest's rings.
import type { ActivationContext } from '../devices/virtio/device.ts';
import type { QueueServer, ServedQueues } from '../devices/virtio/queue-server.ts';
import { SystemError } from '../ffi/system-error.ts';
import { setVhostVsockCid, setVhostVsockRunning } from '../ffi/vhost.unsafe.ts';
import { type MappedMemory, VhostDevice, VhostError } from './vhost.ts';

/** The receive and the transmit queue; events are the VMM's. */
const QUEUE_COUNT = 2;

export interface VhostVsockOptions {
  /** Address of the guest, of which no other guest of this host has the same. */
  readonly guestCid: number;
  /** All of the guest's RAM. */
  readonly memory: readonly MappedMemory[];
  /** @default /dev/vhost-vsock */
  readonly path?: string;
}

export class VhostVsock implements QueueServer, Disposable {
  readonly features: bigint;
  readonly #device: VhostDevice;

  /** @throws VhostError NO_DEVICE, CID_IN_USE; SystemError */
  constructor({ guestCid, memory, path = '/dev/vhost-vsock' }: VhostVsockOptions) {
    using resources = new DisposableStack();
    this.#device = resources.use(new VhostDevice({ path, module: 'vhost_vsock', memory }));
    this.features = this.#device.features;
    try {
      setVhostVsockCid(this.#device.fd, guestCid);
    } catch (cause) {
      if (!(cause instanceof SystemError) || cause.code !== 'EADDRINUSE') throw cause;
      const message = `another guest of this host has the vsock address ${guestCid}: give this one another CID`;
      throw new VhostError('CID_IN_USE', message, { guestCid }, { cause });
    }
    resources.move();
  }

  start(context: ActivationContext): ServedQueues {
    return this.#device.serve(context, QUEUE_COUNT, {
      start: () => setVhostVsockRunning(this.#device.fd, true),
      stop: () => setVhostVsockRunning(this.#device.fd, false),
    });
  }

  /** The kernel has put everything down when its queues are stopped. */
  idle(): undefined {
    return undefined;
  }

  [Symbol.dispose](): void {
    this.#device[Symbol.dispose]();
  }
}
