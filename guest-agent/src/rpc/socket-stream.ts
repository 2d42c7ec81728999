// A socket as the protocol library wants it.
import type { ByteStream } from '../../../src/protocol/byte-stream.ts';
import type { EventLoop } from '../event-loop.ts';
import { Pollable } from '../event-loop.ts';
import * as abi from '../linux/abi.gen.ts';
import { SystemError } from '../linux/call.ts';
import { tryRead, tryWrite } from '../linux/file.ts';

/** Bytes taken from a connection at once. */
const READ_BYTES = 16 * 1024;
/** What arrives; a copy of the filled part is given out. */
const scratch = new Uint8Array(READ_BYTES);

/** What most writes give: thousands of answers may go out in one turn, and none needs a promise of its own. */
const DONE = Promise.resolve();

export class SocketStream implements ByteStream {
  readonly #socket: Pollable;
  /** The last of the writes that could not be made at once, while there are such; the one that failed, for good. */
  #lastWrite: Promise<void> | undefined;

  /** Takes over a non-blocking socket. */
  constructor(loop: EventLoop, fd: number) {
    this.#socket = new Pollable(loop, fd);
  }

  async read(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#socket.closed) return undefined;
      const length = tryRead(this.#socket.fd, scratch);
      if (length > 0) return scratch.slice(0, length);
      if (length === 0) return undefined;
      if (length !== -abi.EAGAIN) throw new SystemError('read', 'connection', -length);
      await this.#socket.readable();
    }
  }

  write(bytes: Uint8Array): Promise<void> {
    const earlier = this.#lastWrite;
    let sending: Promise<void>;
    if (earlier === undefined) {
      const length = this.#tryWrite(bytes);
      if (length === bytes.length) return DONE;
      sending = this.#send(bytes, length);
    } else {
      // One after the other, and one failure fails all that follow.
      sending = earlier.then(() => this.#send(bytes, this.#tryWrite(bytes)));
    }
    this.#lastWrite = sending;
    sending.then(
      () => {
        if (this.#lastWrite === sending) this.#lastWrite = undefined;
      },
      () => {},
    );
    return sending;
  }

  close(): void {
    this.#socket.close();
  }

  #tryWrite(bytes: Uint8Array): number {
    return this.#socket.closed ? -abi.EPIPE : tryWrite(this.#socket.fd, bytes);
  }

  /** Goes on after a first attempt. @param attempt what it gave */
  async #send(bytes: Uint8Array, attempt: number): Promise<void> {
    let rest = bytes;
    for (let length = attempt; ; length = this.#tryWrite(rest)) {
      if (length >= 0) rest = rest.subarray(length);
      else if (length !== -abi.EAGAIN) throw new SystemError('write', 'connection', -length);
      if (rest.length === 0) return;
      if (length < 0) await this.#socket.writable();
    }
  }
}
