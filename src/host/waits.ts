// Who waits for a descriptor to be ready: for reading, for writing, or both at a time.
import { watchFd } from '../ffi/event-loop.unsafe.ts';
import { duplicateFd } from '../ffi/fd.unsafe.ts';
import type { Fd } from '../lib/brand.ts';

/** The waits of one descriptor; they keep no process alive. Dispose it before the descriptor is closed. */
export class Waits implements Disposable {
  readonly #fd: Fd;
  #onReadable: (() => void) | undefined;
  #readableWatch: Disposable | undefined;
  #onWritable: (() => void) | undefined;
  #writableWatch: Disposable | undefined;

  constructor(fd: Fd) {
    this.#fd = fd;
  }

  /** Calls back for as long as there is something to read; undefined ends that. */
  forReading(onReadable: (() => void) | undefined): void {
    this.#onReadable = onReadable;
    if (onReadable !== undefined) {
      this.#readableWatch ??= watchFd(this.#fd, () => this.#onReadable?.(), { ref: false });
      return;
    }
    this.#readableWatch?.[Symbol.dispose]();
    this.#readableWatch = undefined;
  }

  /** Calls back for as long as there is room to write; undefined ends that. @throws SystemError */
  forWriting(onWritable: (() => void) | undefined): void {
    this.#onWritable = onWritable;
    if (onWritable !== undefined) {
      this.#writableWatch ??= this.#watchForWriting();
      return;
    }
    this.#writableWatch?.[Symbol.dispose]();
    this.#writableWatch = undefined;
  }

  /** A descriptor has one watch: this one has a second descriptor. */
  #watchForWriting(): Disposable {
    using resources = new DisposableStack();
    const second = resources.use(duplicateFd(this.#fd));
    const options = { readable: false, writable: true, ref: false };
    resources.use(watchFd(second.fd, () => this.#onWritable?.(), options));
    return resources.move();
  }

  [Symbol.dispose](): void {
    this.forReading(undefined);
    this.forWriting(undefined);
  }
}
