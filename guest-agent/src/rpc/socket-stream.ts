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

export class SocketStream implements ByteStream {
  readonly #socket: Pollable;
  #lastWrite: Promise<void> = Promise.resolve();

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
    // One after the other, and one failure fails all that follow.
    this.#lastWrite = this.#lastWrite.then(() => this.#send(bytes));
    return this.#lastWrite;
  }

  close(): void {
    this.#socket.close();
  }

  async #send(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0; ) {
      const length = this.#socket.closed ? -abi.EPIPE : tryWrite(this.#socket.fd, rest);
      if (length >= 0) rest = rest.subarray(length);
      else if (length === -abi.EAGAIN) await this.#socket.writable();
      else throw new SystemError('write', 'connection', -length);
    }
  }
}
