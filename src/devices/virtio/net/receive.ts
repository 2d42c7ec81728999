// Frames from the network to the guest, straight into its buffers. Nothing is read that has no room there: while the guest
// has no buffers, frames wait with the back end, which drops what it cannot keep (a tap, beyond its transmit queue). A frame
// larger than the room that a driver gave is dropped here.
import { VIRTIO_NET_F_MRG_RXBUF } from '../abi.gen.ts';
import type { Chain } from '../chain.ts';
import type { ActivationContext } from '../device.ts';
import { interruptIfWanted } from '../drain.ts';
import { hasFeature } from '../features.ts';
import type { Virtqueue } from '../queue.ts';
import { QueueError } from '../queue-error.ts';
import type { PacketBackend } from './backend.ts';
import type { Link } from './link.ts';
import { HEADER_SIZE, writeBufferCount } from './packet.ts';

/** Frames per turn of the event loop, so that a busy network leaves time for all else. */
const BATCH = 256;
/** Buffers that one read may fill: what Linux takes (UIO_MAXIOV). */
const MAX_SEGMENTS = 1024;
/** Where the end of a frame shows that has no room. */
const OVERFLOW_SIZE = 1;

export class Receiver {
  readonly #context: ActivationContext;
  readonly #queueIndex: number;
  readonly #queue: Virtqueue;
  readonly #link: Link;
  readonly #isMergeable: boolean;
  readonly #overflow = new Uint8Array(new ArrayBuffer(OVERFLOW_SIZE));
  /** Chains that were taken for the next frames, and not used yet: always the last ones taken. */
  readonly #chains: Chain[] = [];
  /** Their buffers, one after the other. */
  readonly #segments: Uint8Array[] = [];
  #room = 0;
  #waitsForBuffers = false;
  #limiterWait: Disposable | undefined;

  constructor(context: ActivationContext, queueIndex: number, queue: Virtqueue, link: Link) {
    this.#context = context;
    this.#queueIndex = queueIndex;
    this.#queue = queue;
    this.#link = link;
    this.#isMergeable = hasFeature(context.features, VIRTIO_NET_F_MRG_RXBUF);
    queue.suppressNotifications();
  }

  /** Passes on what there is, and waits for what is missing: frames, buffers or tokens. */
  readonly run = (): void => {
    if (this.#waitsForBuffers) {
      this.#waitsForBuffers = false;
      this.#queue.suppressNotifications();
    }
    const { backend } = this.#link;
    if (this.#limiterWait !== undefined || backend === undefined || !this.#link.isUp) return;
    this.#receive(backend);
    interruptIfWanted(this.#context, this.#queueIndex, this.#queue);
  };

  /** Takes no more frames until `run`. */
  stop(): void {
    this.#limiterWait?.[Symbol.dispose]();
    this.#limiterWait = undefined;
    this.#link.backend?.awaitFrames(undefined);
  }

  #receive(backend: PacketBackend): void {
    const { limiter, counters } = this.#link.receive;
    for (let budget = BATCH; budget > 0; budget--) {
      if (limiter?.admits() === false) {
        backend.awaitFrames(undefined);
        this.#limiterWait = limiter.whenAdmitted(() => {
          this.#limiterWait = undefined;
          this.#context.guard(this.run);
        });
        return;
      }
      if (!this.#hasRoom()) {
        this.#waitsForBuffers = true;
        backend.awaitFrames(undefined);
        if (this.#queue.requestNotifications()) continue;
        return;
      }
      const length = this.#read(backend);
      if (length === 0) break;
      const frameSize = Math.max(0, length - HEADER_SIZE);
      limiter?.charge(frameSize);
      if (frameSize === 0 || length > this.#room) {
        counters.dropped += 1;
        continue;
      }
      counters.packets += 1;
      counters.bytes += frameSize;
      this.#deliver(length);
    }
    // After a full batch there may be more: then this calls back at once.
    if (this.#link.isUp) backend.awaitFrames(this.#onFrames);
  }

  readonly #onFrames = (): void => this.#context.guard(this.run);

  /** @returns what the back end wrote; more than there is room when the frame was cut; 0 when there is no frame */
  #read(backend: PacketBackend): number {
    this.#segments.push(this.#overflow);
    try {
      return backend.receive(this.#segments);
    } catch (error) {
      this.#link.lose(error);
      return 0;
    } finally {
      this.#segments.pop();
    }
  }

  /**
   * Takes buffers until the largest frame fits. Without VIRTIO_NET_F_MRG_RXBUF a frame has one chain (virtio 1.3, 5.1.6.4.1),
   * and a driver that gives less room than the largest frame needs gets only those that fit.
   */
  #hasRoom(): boolean {
    const wanted = HEADER_SIZE + this.#link.maxFrameSize;
    const mostChains = this.#isMergeable ? this.#queue.size : 1;
    // A chain has at most as many buffers as the queue.
    const mostSegments = MAX_SEGMENTS - this.#queue.size - 1;
    while (this.#room < wanted && this.#chains.length < mostChains && this.#segments.length <= mostSegments) {
      const chain = this.#queue.take();
      // A driver with fewer buffers than that is about to give more: Linux keeps half of its ring filled.
      if (chain === undefined) return false;
      this.#stage(chain);
    }
    return true;
  }

  #stage(chain: Chain): void {
    const { readable, writable } = chain;
    // "The driver MUST [...] each buffer [...] at least the size of the struct virtio_net_hdr" (virtio 1.3, 5.1.6.3.1).
    if (readable.length > 0 || writable.length < HEADER_SIZE) {
      throw new QueueError(
        'BUFFER_LAYOUT',
        `a receive buffer of ${readable.length} readable and ${writable.length} writable bytes`,
        { head: chain.head },
      );
    }
    this.#chains.push(chain);
    this.#segments.push(...writable.segments);
    this.#room += writable.length;
  }

  /** Gives the first `length` bytes of the buffers to the driver, all of their chains at once. */
  #deliver(length: number): void {
    let count = 0;
    let segments = 0;
    for (let left = length; left > 0; count++) {
      const chain = this.#chains[count];
      if (chain === undefined) throw new RangeError(`a frame of ${length} bytes in ${this.#room} bytes of buffers`);
      const written = Math.min(left, chain.writable.length);
      left -= written;
      segments += chain.writable.segments.length;
      this.#room -= chain.writable.length;
      this.#queue.addUsed(chain, written);
    }
    const first = this.#chains[0];
    if (first !== undefined) writeBufferCount(first.writable, count);
    this.#chains.splice(0, count);
    this.#segments.splice(0, segments);
    this.#queue.publishUsed();
  }
}
