// What happens in the guest, told to whoever has asked for it (agent.proto, Events).
import type { Event } from '../../src/protocol/agent.gen.ts';
import { ItemQueue } from '../../src/protocol/item-queue.ts';
import { StatusError } from '../../src/protocol/status.ts';

/** Events that wait for a subscriber who does not read. */
const WAITING_MAX = 1024;
/** Subscribers at a time: their queues are the agent's memory. */
const SUBSCRIBERS_MAX = 16;

interface Subscriber {
  readonly containerId: string;
  readonly queue: ItemQueue<Event>;
}

export class EventHub {
  readonly #subscribers = new Set<Subscriber>();
  readonly #watchGuest: (onOutOfMemory: () => void) => void;
  #watching = false;

  /** @param watchGuest starts to look for what concerns the guest as a whole; called with the first subscriber */
  constructor(watchGuest: (onOutOfMemory: () => void) => void = () => {}) {
    this.#watchGuest = watchGuest;
  }

  /**
   * The events from now on, until the caller leaves. A subscriber who does not read is told so after what waits for him, and gets
   * no more: an event that is left out in silence would be worse for who counts on them.
   * @param containerId of this one alone; empty for all, and for what concerns the guest
   * @throws StatusError RESOURCE_EXHAUSTED
   */
  subscribe(containerId: string): AsyncIterable<Event> {
    if (this.#subscribers.size >= SUBSCRIBERS_MAX) {
      throw new StatusError(
        'RESOURCE_EXHAUSTED',
        `events have ${SUBSCRIBERS_MAX} subscribers already: end one of them`,
      );
    }
    const queue = new ItemQueue<Event>(WAITING_MAX, () => this.#subscribers.delete(subscriber));
    const subscriber = { containerId, queue };
    this.#subscribers.add(subscriber);
    if (!this.#watching) {
      this.#watching = true;
      this.#watchGuest(() => this.emit({ containerId: '', kind: { $case: 'guestOutOfMemory', value: {} } }));
    }
    return queue;
  }

  emit(event: Event): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.containerId !== '' && subscriber.containerId !== event.containerId) continue;
      if (subscriber.queue.push(event)) continue;
      this.#subscribers.delete(subscriber);
      const message = `events were lost: ${WAITING_MAX} waited and were not read; subscribe again`;
      subscriber.queue.end(new StatusError('RESOURCE_EXHAUSTED', message));
    }
  }
}
