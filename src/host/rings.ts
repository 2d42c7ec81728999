// What a back end outside this process has done to a ring, as the ring itself tells.
import { setTimeout as sleep } from 'node:timers/promises';
import { vring_used } from '../devices/virtio/abi.gen.ts';
import type { Virtqueue } from '../devices/virtio/queue.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';

const POLL_INTERVAL_MS = 1;

/** A queue that a back end serves, by its index. */
export interface ServedQueue {
  readonly index: number;
  readonly queue: Virtqueue;
}

/** A queue that a back end has stopped to serve. */
export interface StoppedQueue extends ServedQueue {
  /** The available entry that it would have taken next. */
  readonly stoppedAt: number;
}

/** The queues that the driver has enabled. */
export function enabledQueues(queues: readonly (Virtqueue | undefined)[]): ServedQueue[] {
  return queues.flatMap((queue, index) => (queue === undefined ? [] : [{ index, queue }]));
}

/**
 * Waits for what a back end still works on though it takes nothing more: as many chains as it took it has to return.
 * @param isGone whether the back end cannot write any more
 * @returns whether all has come back; false after the time
 */
export async function untilReturned(
  memory: GuestMemory,
  stopped: readonly StoppedQueue[],
  timeoutMs: number,
  isGone: () => boolean,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!isGone() && !areReturned(memory, stopped)) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_INTERVAL_MS);
  }
  return true;
}

/** Whether the used index has come to where a ring was stopped, for each of these rings. */
export function areReturned(memory: GuestMemory, stopped: readonly StoppedQueue[]): boolean {
  return stopped.every(({ queue, stoppedAt }) => {
    const bytes = memory.slice(queue.usedRing + vring_used.idx, Uint16Array.BYTES_PER_ELEMENT);
    return Atomics.load(new Uint16Array(bytes.buffer, bytes.byteOffset, 1), 0) === stoppedAt;
  });
}
