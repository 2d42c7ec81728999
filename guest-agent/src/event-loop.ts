// One thread, one epoll: who waits for which descriptor, and for how long.
import type { Timers } from '../../src/protocol/byte-stream.ts';
import * as abi from './linux/abi.gen.ts';
import { Epoll } from './linux/epoll.ts';
import { close, tryWrite } from './linux/file.ts';
import { readClock } from './linux/machine.ts';

const NANOSECONDS_PER_MS = 1_000_000n;
const NOTHING = new Uint8Array(0);

interface Timer {
  readonly dueMs: number;
  readonly action: () => void;
}

function nowMs(): number {
  return Number(readClock(abi.CLOCK_MONOTONIC) / NANOSECONDS_PER_MS);
}

export class EventLoop implements Timers {
  readonly #epoll = new Epoll();
  readonly #handlers = new Map<number, (events: number) => void>();
  readonly #timers = new Set<Timer>();
  #nextId = 1;

  /** Registers a handler for the events of a descriptor. @returns an id for `setInterest`, unique for ever */
  register(handler: (events: number) => void): number {
    const id = this.#nextId++;
    this.#handlers.set(id, handler);
    return id;
  }

  /** Waits for other events than before; 0 for none at all, not even the end of the connection. */
  setInterest(id: number, fd: number, before: number, events: number): void {
    this.#epoll.change(id, fd, before, events);
  }

  unregister(id: number): void {
    this.#handlers.delete(id);
  }

  after(delayMs: number, action: () => void): () => void {
    const timer = { dueMs: nowMs() + delayMs, action };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Settles after some time. */
  async delay(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => this.after(delayMs, resolve));
  }

  /** Waits for something, for at most some time. @returns whether it has settled. It must not reject. */
  async settles(something: Promise<unknown>, timeoutMs: number): Promise<boolean> {
    let cancel = (): unknown => undefined;
    const tooLate = new Promise<boolean>((resolve) => {
      cancel = this.after(timeoutMs, () => resolve(false));
    });
    const settled = await Promise.race([something.then(() => true), tooLate]);
    cancel();
    return settled;
  }

  /** Waits until something happens and runs its handlers. Promise jobs run after it. */
  turn(): void {
    for (const { id, events } of this.#epoll.wait(this.#timeoutMs())) {
      // A handler that ran earlier in this turn may have unregistered this one.
      this.#handlers.get(id)?.(events);
    }
    if (this.#timers.size === 0) return;
    const now = nowMs();
    for (const timer of [...this.#timers]) {
      if (timer.dueMs <= now && this.#timers.delete(timer)) timer.action();
    }
  }

  #timeoutMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const timer of this.#timers) next = Math.min(next, timer.dueMs);
    return next === Number.POSITIVE_INFINITY ? -1 : Math.max(0, next - nowMs());
  }
}

/** A non-blocking descriptor and those who wait for it: at most one reader and one writer. Owns the descriptor. */
export class Pollable {
  readonly fd: number;
  readonly #loop: EventLoop;
  readonly #id: number;
  #interest = 0;
  #reader: (() => void) | undefined;
  #writer: (() => void) | undefined;
  #onBreak: (() => void) | undefined;
  #breakEvents = abi.EPOLLRDHUP | abi.EPOLLERR;
  #broken = false;
  #closed = false;

  constructor(loop: EventLoop, fd: number) {
    this.#loop = loop;
    this.fd = fd;
    this.#id = loop.register((events) => this.#dispatch(events));
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whether a watched end of writing is known to have nobody who reads. */
  get broken(): boolean {
    return this.#broken;
  }

  /**
   * Runs `action` once when nobody will read any more what is written here. Without it that is found out by a write only,
   * which somebody made who believed in a reader.
   */
  watchBreak(action: () => void): void {
    this.#onBreak = action;
    this.#update();
  }

  /** Settles when a read will not wait, or after `wakeReader` or `close`. */
  async readable(): Promise<void> {
    if (this.#closed) return;
    await new Promise<void>((resolve) => {
      this.#reader = resolve;
      this.#update();
    });
  }

  /** Settles when a write will not wait, or after `close`. */
  async writable(): Promise<void> {
    if (this.#closed) return;
    await new Promise<void>((resolve) => {
      this.#writer = resolve;
      this.#update();
    });
  }

  /** Lets who waits for `readable` look again. */
  wakeReader(): void {
    const reader = this.#reader;
    this.#reader = undefined;
    this.#update();
    reader?.();
  }

  close(): void {
    if (this.#closed) return;
    const waiting = [this.#reader, this.#writer];
    this.#reader = undefined;
    this.#writer = undefined;
    this.#onBreak = undefined;
    this.#update();
    this.#closed = true;
    this.#loop.unregister(this.#id);
    close(this.fd);
    for (const resolve of waiting) resolve?.();
  }

  #dispatch(events: number): void {
    const broken = (events & (abi.EPOLLERR | abi.EPOLLHUP)) !== 0;
    const reader = broken || (events & abi.EPOLLIN) !== 0 ? this.#reader : undefined;
    const writer = broken || (events & abi.EPOLLOUT) !== 0 ? this.#writer : undefined;
    if (reader !== undefined) this.#reader = undefined;
    if (writer !== undefined) this.#writer = undefined;
    const onBreak = this.#breakIn(events) ? this.#onBreak : undefined;
    if (onBreak !== undefined) this.#onBreak = undefined;
    this.#update();
    reader?.();
    writer?.();
    onBreak?.();
  }

  /** Whether these events say that nobody reads any more; only asked where that is watched. */
  #breakIn(events: number): boolean {
    if (this.#onBreak === undefined) return false;
    this.#broken = (events & (abi.EPOLLERR | abi.EPOLLHUP)) !== 0;
    if (!this.#broken && (events & abi.EPOLLRDHUP) !== 0) {
      // The peer writes no more. Whether it reads no more either, a vsock tells only who writes; nothing is written here.
      this.#broken = tryWrite(this.fd, NOTHING) < 0;
      this.#breakEvents = abi.EPOLLERR;
    }
    return this.#broken;
  }

  #update(): void {
    if (this.#closed) return;
    const reads = this.#reader === undefined ? 0 : abi.EPOLLIN;
    const writes = this.#writer === undefined ? 0 : abi.EPOLLOUT;
    const wanted = reads | writes | (this.#onBreak === undefined ? 0 : this.#breakEvents);
    this.#loop.setInterest(this.#id, this.fd, this.#interest, wanted);
    this.#interest = wanted;
  }
}
