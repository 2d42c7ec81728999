// Frames from the guest to the network, straight from its buffers behind a header of ours. A frame that makes no sense, that
// the back end refuses, or that meets a link that is down is dropped, as a real card would; one that has no room now stays
// at the head of the queue.
import type { Chain } from '../chain.ts';
import type { ActivationContext } from '../device.ts';
import { drain, type QueueWork } from '../drain.ts';
import type { Virtqueue } from '../queue.ts';
import { QueueError } from '../queue-error.ts';
import type { SendResult } from './backend.ts';
import type { Link } from './link.ts';
import { hostOffloads, type Offloads } from './offloads.ts';
import { ETHERNET_HEADER_SIZE, HEADER_SIZE, MAX_FRAME_SIZE, PacketHeader } from './packet.ts';

export class Transmitter {
  readonly #context: ActivationContext;
  readonly #work: QueueWork;
  readonly #link: Link;
  readonly #accepted: Offloads;
  readonly #header = new PacketHeader();
  readonly #frame: Uint8Array[] = [];
  /** Taken, and not sent yet for want of room: always the last one taken. */
  #waiting: Chain | undefined;
  #awaitsRoom = false;
  #limiterWait: Disposable | undefined;

  constructor(context: ActivationContext, queueIndex: number, queue: Virtqueue, link: Link) {
    this.#context = context;
    this.#link = link;
    this.#accepted = hostOffloads(context.features);
    this.#work = { queueIndex, queue, handle: (chain) => this.#handle(chain), canTake: () => this.#canTake() };
  }

  /** Sends what the driver has made available. */
  readonly run = (): void => drain(this.#context, this.#work);

  /** Sends no more until `run`. */
  stop(): void {
    this.#limiterWait?.[Symbol.dispose]();
    this.#limiterWait = undefined;
    this.#awaitRoom(false);
  }

  #canTake(): boolean {
    if (this.#limiterWait !== undefined) return false;
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      this.#handle(waiting);
      if (this.#waiting !== undefined) return false;
    }
    const { limiter } = this.#link.transmit;
    if (limiter === undefined || !this.#work.queue.hasAvailable || limiter.admits()) return true;
    this.#limiterWait = limiter.whenAdmitted(() => {
      this.#limiterWait = undefined;
      this.#context.guard(this.run);
    });
    return false;
  }

  #handle(chain: Chain): void {
    const { readable, writable } = chain;
    if (writable.length > 0 || readable.length < HEADER_SIZE) {
      throw new QueueError(
        'BUFFER_LAYOUT',
        `a frame of ${readable.length} readable and ${writable.length} writable bytes`,
        { head: chain.head },
      );
    }
    const { counters, limiter } = this.#link.transmit;
    const frameSize = readable.length - HEADER_SIZE;
    const result = this.#send(chain, frameSize);
    if (result === 'full') {
      this.#waiting = chain;
      this.#awaitRoom(true);
      return;
    }
    if (result === 'sent') {
      counters.packets += 1;
      counters.bytes += frameSize;
    } else counters.dropped += 1;
    limiter?.charge(frameSize);
    this.#work.queue.putUsed(chain, 0);
  }

  #send({ readable }: Chain, frameSize: number): SendResult {
    const { backend, isUp } = this.#link;
    if (backend === undefined || !isUp || frameSize < ETHERNET_HEADER_SIZE || frameSize > MAX_FRAME_SIZE) {
      return 'dropped';
    }
    this.#header.takeFrom(readable, this.#frame);
    if (!this.#header.makeValid(frameSize, this.#accepted)) return 'dropped';
    try {
      return backend.send(this.#header.bytes, this.#frame);
    } catch (error) {
      this.#link.lose(error);
      return 'dropped';
    }
  }

  #awaitRoom(awaits: boolean): void {
    if (awaits === this.#awaitsRoom) return;
    this.#awaitsRoom = awaits;
    this.#link.backend?.awaitRoom(awaits ? this.#onRoom : undefined);
  }

  readonly #onRoom = (): void => {
    this.#awaitRoom(false);
    this.#context.guard(this.run);
  };
}
