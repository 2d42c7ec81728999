// The host side of vsock in memory, for tests: every stream records what it was given and does what the test says.
import type { Timers } from '../timers.ts';
import type { HostStream, HostStreamEvents, VsockHost } from '../vsock/backend.ts';
import { concatenate } from './mock-driver.ts';

export class FakeHostStream implements HostStream {
  readonly hostPort: number | undefined;
  events: HostStreamEvents | undefined;
  ended = false;
  isDestroyed = false;
  isEnded = false;
  /** Bytes that the device wrote, confirmed or not. */
  readonly #written: Uint8Array[] = [];
  #unconfirmed: (() => void)[] = [];
  #toRead = new Uint8Array();

  constructor(hostPort?: number, events?: HostStreamEvents) {
    this.hostPort = hostPort;
    this.events = events;
  }

  get readableLength(): number {
    return this.#toRead.length;
  }

  get written(): Uint8Array {
    return concatenate(this.#written);
  }

  read(maxLength: number): Uint8Array {
    const bytes = this.#toRead.slice(0, maxLength);
    this.#toRead = this.#toRead.slice(bytes.length);
    return bytes;
  }

  write(bytes: Uint8Array, done: () => void): void {
    this.#written.push(bytes);
    this.#unconfirmed.push(done);
  }

  end(done: () => void): void {
    this.isEnded = true;
    this.#unconfirmed.push(done);
  }

  destroy(): void {
    this.isDestroyed = true;
    this.events = undefined;
  }

  /** The host sent bytes. */
  arrive(bytes: Uint8Array): void {
    this.#toRead = Uint8Array.from(concatenate([this.#toRead, bytes]));
    this.events?.readable();
  }

  /** The host sent its last byte. */
  finish(): void {
    this.ended = true;
    this.events?.readable();
  }

  /** Passes on all that was written, and the end. */
  confirm(): void {
    const callbacks = this.#unconfirmed;
    this.#unconfirmed = [];
    for (const callback of callbacks) callback();
  }
}

export class FakeVsockHost implements VsockHost {
  readonly streams: FakeHostStream[] = [];

  connect(hostPort: number, events: HostStreamEvents): HostStream {
    const stream = new FakeHostStream(hostPort, events);
    this.streams.push(stream);
    return stream;
  }

  /** The stream of the latest connection. @throws RangeError when there is none */
  get latest(): FakeHostStream {
    const stream = this.streams.at(-1);
    if (stream === undefined) throw new RangeError('the guest has not connected to the host');
    return stream;
  }
}

/** Time that passes when the test says so. */
export class FakeTimers implements Timers {
  #now = 0;
  readonly #pending = new Set<{ readonly due: number; readonly callback: () => void }>();

  after(delayMs: number, callback: () => void): Disposable {
    const timer = { due: this.#now + delayMs, callback };
    this.#pending.add(timer);
    return { [Symbol.dispose]: () => void this.#pending.delete(timer) };
  }

  advance(byMs: number): void {
    this.#now += byMs;
    for (const timer of this.#pending) {
      if (timer.due > this.#now) continue;
      this.#pending.delete(timer);
      timer.callback();
    }
  }
}
