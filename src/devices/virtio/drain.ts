// The loop that every embedded device runs over a queue: take what is there, re-arm the bell, look once more.
import type { Chain } from './chain.ts';
import type { ActivationContext } from './device.ts';
import type { Virtqueue } from './queue.ts';
import { QueueError } from './queue-error.ts';

/** What a device does with a queue. */
export interface QueueWork {
  readonly queueIndex: number;
  readonly queue: Virtqueue;
  /** Handles one chain; it may put it back used now or later. @throws QueueError when the chain makes no sense */
  handle(chain: Chain): void;
  /** Whether there is room for the work of one more chain. Who says no drains again when there is. Absent: always. */
  canTake?(): boolean;
  /** Called at the end of each turn: the place for replies to all that was handled. */
  finish?(): void;
}

/**
 * Handles what the driver made available, then interrupts it if it wants that. A driver that refills the ring as fast as it
 * is emptied gets one ring's worth per turn of the event loop, so that it cannot keep the host from its other work.
 */
export function drain(context: ActivationContext, work: QueueWork): void {
  const { queue, queueIndex } = work;
  const canTake = () => work.canTake?.() ?? true;
  let budget = queue.size;
  queue.suppressNotifications();
  while (canTake()) {
    if (budget === 0) {
      context.defer(() => drain(context, work));
      break;
    }
    // A look that finds nothing counts too: a driver could move its index to and fro between our looks for ever.
    budget -= 1;
    const chain = queue.take();
    if (chain !== undefined) work.handle(chain);
    else if (!queue.requestNotifications()) break;
  }
  work.finish?.();
  interruptIfWanted(context, queueIndex, queue);
}

/** Tells the driver of returned buffers, if it asked to be told. */
export function interruptIfWanted(context: ActivationContext, queueIndex: number, queue: Virtqueue): void {
  if (queue.takeInterrupt()) context.interrupt.usedBuffer(queueIndex);
}

/** A queue that the device cannot do without. @throws QueueError when the driver did not set it up */
export function requireQueue(context: ActivationContext, index: number): Virtqueue {
  const queue = context.queues[index];
  if (queue === undefined) throw new QueueError('QUEUE_SIZE', `queue ${index} was not set up before DRIVER_OK`);
  return queue;
}
