import {
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '../../../src/devices/virtio/abi.gen.ts';
import type { ActivationContext } from '../../../src/devices/virtio/device.ts';
import { drain, requireQueue } from '../../../src/devices/virtio/drain.ts';
import { featureSet } from '../../../src/devices/virtio/features.ts';
import type { FsBackend } from '../../../src/devices/virtio/fs/backend.ts';
import { FS_QUEUE, FsDevice } from '../../../src/devices/virtio/fs/device.ts';
import type { ServedQueues } from '../../../src/devices/virtio/queue-server.ts';
import { concatenate } from '../../../src/devices/virtio/testing/mock-driver.ts';
import type { Subject } from '../subject.ts';

/** A server of its queues that is in this process: it answers each request with the request. */
class EchoServer implements FsBackend {
  readonly features: bigint = featureSet(VIRTIO_F_VERSION_1, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC);
  readonly requests: Uint8Array[] = [];
  context: ActivationContext | undefined;
  #isResting = false;

  start(context: ActivationContext): ServedQueues {
    // Without them there is nothing to serve.
    for (const queue of Object.values(FS_QUEUE)) requireQueue(context, queue);
    this.context = context;
    return {
      quiesce: async () => {
        this.#isResting = true;
      },
      resume: () => {
        this.#isResting = false;
        this.serve(FS_QUEUE.hiprio);
        this.serve(FS_QUEUE.request);
      },
      [Symbol.dispose]: () => {
        this.context = undefined;
      },
    };
  }

  /** What the bell of a queue makes it do. */
  serve(queueIndex: number): void {
    const { context } = this;
    const queue = context?.queues[queueIndex];
    if (context === undefined || queue === undefined || this.#isResting) return;
    context.guard(() =>
      drain(context, {
        queueIndex,
        queue,
        handle: (chain) => {
          const length = Math.min(chain.readable.length, chain.writable.length);
          const request = chain.readable.copy(0, length);
          this.requests.push(request.slice(0, 1024));
          chain.writable.write(0, request);
          queue.putUsed(chain, length);
        },
      }),
    );
  }

  idle(): undefined {
    return undefined;
  }

  saveState(): string {
    return 'nothing';
  }

  restoreState(): void {
    // It knows nothing.
  }
}

export const fs: Subject = {
  name: 'fs',
  eagerQueue: FS_QUEUE.request,
  bell: { do: 'host', choice: FS_QUEUE.request, size: 0 },
  openings: [],
  create() {
    const server = new EchoServer();
    return {
      device: new FsDevice({ tag: 'share', backend: server }),
      act(choice) {
        if (choice === 7) server.context?.fail(new Error('the server is gone'));
        else server.serve(choice % 2);
      },
      release() {
        // It holds nothing back.
      },
      received: () => [concatenate(server.requests)],
      async use(driver, settle) {
        const queue = driver.queue(FS_QUEUE.request);
        queue.push({ read: Uint8Array.of(1, 2, 3) }, { write: 3 });
        server.serve(FS_QUEUE.request);
        await settle();
        return queue.takeUsed()[0]?.bytes.join() === '1,2,3';
      },
    };
  },
};
