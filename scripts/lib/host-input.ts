// A command's standard input on its way to the emulated host: never more under way than the supervisor gave credit for.
import type { Readable } from 'node:stream';
import { encodeFrame, FRAME_INPUT, FRAME_INPUT_END, INPUT_CREDIT } from './host-protocol.ts';

/** Follows a stream until it ends or `stop` is called; what it has not read by then stays in the stream. */
export class InputFeed {
  readonly #stdin: Readable | undefined;
  readonly #write: (frame: Buffer) => void;
  readonly #onData = (chunk: Buffer | string): void => {
    this.#rest = Buffer.concat([this.#rest, Buffer.from(chunk)]);
    this.#send();
  };
  readonly #onEnd = (): void => {
    this.#ended = true;
    this.#send();
  };
  #rest: Buffer = Buffer.alloc(0);
  #credit = INPUT_CREDIT;
  #ended = false;
  #stopped = false;

  /** @param stdin no input at all when absent */
  constructor(stdin: Readable | undefined, write: (frame: Buffer) => void) {
    this.#stdin = stdin;
    this.#write = write;
    if (stdin === undefined || stdin.readableEnded || stdin.destroyed) this.#onEnd();
    else stdin.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onEnd);
  }

  /** The command has taken so many bytes. */
  addCredit(bytes: number): void {
    this.#credit += bytes;
    this.#send();
  }

  stop(): void {
    this.#stopped = true;
    this.#stdin?.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onEnd).pause();
  }

  #send(): void {
    if (this.#stopped) return;
    const part = this.#rest.subarray(0, this.#credit);
    this.#rest = this.#rest.subarray(part.length);
    this.#credit -= part.length;
    if (part.length > 0) this.#write(encodeFrame(FRAME_INPUT, part));
    if (this.#rest.length > 0) {
      this.#stdin?.pause();
    } else if (this.#ended) {
      this.stop();
      this.#write(encodeFrame(FRAME_INPUT_END));
    } else {
      this.#stdin?.resume();
    }
  }
}
