// The file system device (virtio 1.3, 5.11): a tag and queues that carry FUSE requests to a back end in another process.
import { VIRTIO_F_VERSION_1, VIRTIO_ID_FS, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from '../abi.gen.ts';
import type { ActivationContext, ActiveDevice, VirtioDevice } from '../device.ts';
import { featureSet } from '../features.ts';
import type { FsBackend } from './backend.ts';
import { fsConfigSpace } from './config-space.ts';

/** The queues (virtio 1.3, 5.11.2), without the notification queue. Further request queues follow the first. */
export const FS_QUEUE = { hiprio: 0, request: 1 } as const;
/** Both virtiofsd implementations serve rings of this size at most. */
const QUEUE_SIZE = 1024;

/** A FUSE request of many pages would use up a ring of direct descriptors: indirect tables are worth it here. */
const USEFUL_FEATURES = featureSet(VIRTIO_F_VERSION_1, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC);

/** The one key of the device's saved state. */
const BACKEND_STATE = 'backend';

export interface FsOptions {
  /** What the guest mounts the file system by, 1 to 36 bytes of UTF-8. */
  readonly tag: string;
  readonly backend: FsBackend;
  /** Request queues; Linux spreads its requests over them by CPU. @default 1 */
  readonly requestQueues?: number;
}

export class FsDevice implements VirtioDevice {
  readonly name: string;
  readonly deviceId = VIRTIO_ID_FS;
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  readonly configurationSpace: Uint8Array;
  readonly #backend: FsBackend;

  /** @throws RangeError when the tag does not fit */
  constructor({ tag, backend, requestQueues = 1 }: FsOptions) {
    this.name = `fs:${tag}`;
    this.#backend = backend;
    this.features = backend.features & USEFUL_FEATURES;
    this.queueSizes = Array.from({ length: FS_QUEUE.request + requestQueues }, () => QUEUE_SIZE);
    this.configurationSpace = fsConfigSpace(tag, requestQueues);
  }

  activate(context: ActivationContext): ActiveDevice {
    const backend = this.#backend;
    const saved = context.restored?.[BACKEND_STATE];
    if (typeof saved === 'string') backend.restoreState(saved);
    const queues = backend.start(context);
    return {
      quiesce: () => queues.quiesce(),
      resume: () => queues.resume(),
      saveState: () => ({ [BACKEND_STATE]: backend.saveState() }),
      [Symbol.dispose]: () => queues[Symbol.dispose](),
    };
  }

  idle(): Promise<void> | undefined {
    return this.#backend.idle();
  }
}
