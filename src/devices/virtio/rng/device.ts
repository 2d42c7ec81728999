// The entropy device (virtio 1.3, 5.4): it fills what the driver offers with random bytes, a bounded number at a time.

import { KIB } from '../../../lib/units.ts';
import { VIRTIO_F_VERSION_1, VIRTIO_ID_RNG, VIRTIO_RING_F_EVENT_IDX } from '../abi.gen.ts';
import type { Chain } from '../chain.ts';
import type { ActivationContext, ActiveDevice, VirtioDevice } from '../device.ts';
import { drain, type QueueWork, requireQueue } from '../drain.ts';
import { featureSet } from '../features.ts';
import { QueueError } from '../queue-error.ts';

/** The queue (virtio 1.3, 5.4.2). */
export const ENTROPY_QUEUE = { request: 0 } as const;
/** Linux asks for one buffer at a time. */
const QUEUE_SIZE = 16;
/** Bytes that one buffer gets at most: a driver has to look at the length anyway (virtio 1.3, 5.4.6.1). */
export const MAX_BYTES_PER_BUFFER: number = 64 * KIB;
/** Bytes made before the event loop serves others. */
const MAX_BYTES_PER_TURN = 256 * KIB;

export interface EntropyOptions {
  /** Fills all of the bytes with randomness fit for cryptography. */
  readonly fill: (bytes: Uint8Array) => void;
}

export class EntropyDevice implements VirtioDevice {
  readonly name = 'rng';
  readonly deviceId = VIRTIO_ID_RNG;
  readonly features: bigint = featureSet(VIRTIO_F_VERSION_1, VIRTIO_RING_F_EVENT_IDX);
  readonly queueSizes = [QUEUE_SIZE];
  readonly configurationSpace: Uint8Array = new Uint8Array();
  readonly #fill: (bytes: Uint8Array) => void;
  readonly #counts: EntropyCounts = { requests: 0, bytes: 0 };

  constructor({ fill }: EntropyOptions) {
    this.#fill = fill;
  }

  /** @throws QueueError when the driver did not set up the queue */
  activate(context: ActivationContext): ActiveDevice {
    return new ActiveEntropy(context, this.#fill, this.#counts);
  }

  metrics(): Readonly<Record<string, number>> {
    return { ...this.#counts };
  }
}

interface EntropyCounts {
  requests: number;
  bytes: number;
}

class ActiveEntropy implements ActiveDevice {
  readonly #context: ActivationContext;
  readonly #fill: (bytes: Uint8Array) => void;
  readonly #counts: EntropyCounts;
  readonly #work: QueueWork;
  #bytesThisTurn = 0;
  #isDeferred = false;

  constructor(context: ActivationContext, fill: (bytes: Uint8Array) => void, counts: EntropyCounts) {
    this.#context = context;
    this.#fill = fill;
    this.#counts = counts;
    this.#work = {
      queueIndex: ENTROPY_QUEUE.request,
      queue: requireQueue(context, ENTROPY_QUEUE.request),
      handle: (chain) => this.#handle(chain),
      canTake: () => this.#hasBudget(),
    };
  }

  queueNotified(): void {
    drain(this.#context, this.#work);
  }

  [Symbol.dispose](): void {
    // All work ends within a turn, and deferred work ends with the activation.
  }

  /** @throws QueueError BUFFER_LAYOUT */
  #handle(chain: Chain): void {
    // "The driver MUST NOT place device-readable buffers into the queue" (virtio 1.3, 5.4.6.1), and "the device MUST place
    // one or more random bytes into the buffer" (5.4.6.2).
    if (chain.readable.length > 0 || chain.writable.length === 0) {
      throw new QueueError('BUFFER_LAYOUT', 'a buffer for random bytes that is not for the device to write');
    }
    const length = Math.min(chain.writable.length, MAX_BYTES_PER_BUFFER);
    for (const segment of chain.writable.part(0, length).segments) this.#fill(segment);
    this.#bytesThisTurn += length;
    this.#counts.requests += 1;
    this.#counts.bytes += length;
    this.#work.queue.putUsed(chain, length);
  }

  #hasBudget(): boolean {
    if (this.#bytesThisTurn < MAX_BYTES_PER_TURN) return true;
    if (!this.#isDeferred) {
      this.#isDeferred = true;
      this.#context.defer(() => {
        this.#isDeferred = false;
        this.#bytesThisTurn = 0;
        drain(this.#context, this.#work);
      });
    }
    return false;
  }
}
