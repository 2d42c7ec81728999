// The smallest device: it returns what it reads, and its configuration space can be written. For tests of the transport.
import {
  VIRTIO_F_VERSION_1,
  VIRTIO_ID_CONSOLE,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '../abi.gen.ts';
import type { ActivationContext, ActiveDevice, DeviceState, VirtioDevice } from '../device.ts';
import { drain } from '../drain.ts';
import { featureSet } from '../features.ts';

export class EchoDevice implements VirtioDevice {
  readonly name = 'echo';
  readonly deviceId = VIRTIO_ID_CONSOLE;
  readonly features: bigint = featureSet(VIRTIO_F_VERSION_1, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC);
  readonly queueSizes = [16, 8];
  readonly configurationSpace: Uint8Array = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  /** The context of the latest activation. */
  context: ActivationContext | undefined;
  /** Activations that were not disposed. */
  activeCount = 0;
  /** What `quiesce` waits for. */
  rest: Promise<void> = Promise.resolve();
  /** Calls of `resume`. */
  resumeCount = 0;
  /** What `saveState` gives. */
  saved: DeviceState = {};

  activate(context: ActivationContext): ActiveDevice {
    this.context = context;
    this.activeCount += 1;
    return {
      queueNotified: (queueIndex) => {
        const queue = context.queues[queueIndex];
        if (queue === undefined) return;
        drain(context, {
          queueIndex,
          queue,
          handle: (chain) => {
            const length = Math.min(chain.readable.length, chain.writable.length);
            chain.writable.write(0, chain.readable.copy(0, length));
            queue.putUsed(chain, length);
          },
        });
      },
      quiesce: () => this.rest,
      resume: () => {
        this.resumeCount += 1;
      },
      saveState: () => this.saved,
      [Symbol.dispose]: () => {
        this.activeCount -= 1;
      },
    };
  }

  writeConfiguration(offset: number, bytes: Uint8Array): void {
    this.configurationSpace.set(bytes, offset);
  }
}
