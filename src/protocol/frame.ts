// ttrpc framing, bytes in and frames out. No I/O. What it gives out is the receiver's own copy.
// Source: containerd/ttrpc, PROTOCOL.md, "Message Frame".
import { TskataError } from '../lib/errors.ts';
import { ByteBudget } from './byte-budget.ts';

/** Bytes of a frame's header: length (u32), stream id (u32), message type (u8), flags (u8); big-endian. */
export const HEADER_LENGTH = 10;
/** Longest payload that a frame may carry. */
export const MESSAGE_LENGTH_MAX = 4 * 1024 * 1024;

/** What a frame carries ("Message Types"). Data frames belong to streaming calls; the two others are all of a unary one. */
export const MessageType = { REQUEST: 1, RESPONSE: 2, DATA: 3 } as const;

/** Flags of requests and data frames, as their sender means them: who receives the frame is the one that is told. */
export const FrameFlag = {
  /** Of a streaming call: the sender will send no more data. */
  REMOTE_CLOSED: 1,
  /** Of the request of a streaming call: the sender may still send data. */
  REMOTE_OPEN: 2,
  /** Of data: the frame carries no message, not even an empty one. */
  NO_DATA: 4,
} as const;

export interface Frame {
  readonly streamId: number;
  readonly type: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

/** The peer broke the framing: nothing after it can be understood, so the connection has to end. */
export class FrameError extends TskataError<
  'FRAME_TOO_LONG' | 'FRAME_TRUNCATED' | 'FRAME_UNEXPECTED' | 'FRAME_NO_ROOM'
> {}

/** @throws FrameError when the payload is longer than `MESSAGE_LENGTH_MAX` */
export function encodeFrame(streamId: number, type: number, payload: Uint8Array, flags = 0): Uint8Array {
  if (payload.length > MESSAGE_LENGTH_MAX) throw tooLong(payload.length);
  const bytes = new Uint8Array(HEADER_LENGTH + payload.length);
  const header = new DataView(bytes.buffer);
  header.setUint32(0, payload.length);
  header.setUint32(4, streamId);
  header.setUint8(8, type);
  header.setUint8(9, flags);
  bytes.set(payload, HEADER_LENGTH);
  return bytes;
}

function tooLong(length: number): FrameError {
  const message = `a ttrpc frame of ${length} bytes is longer than the ${MESSAGE_LENGTH_MAX} bytes allowed: send less in one call`;
  return new FrameError('FRAME_TOO_LONG', message, { length });
}

/** First piece of memory for a payload: a length is only a claim until its bytes arrive. */
const FIRST_CAPACITY = 4096;

/** Cuts a stream of bytes into frames, however the stream was split. */
export class FrameDecoder {
  readonly #header = new Uint8Array(HEADER_LENGTH);
  #headerFilled = 0;
  #payload = new Uint8Array(0);
  #payloadFilled = 0;
  /** What of the payload counts against the budget. */
  #counted = 0;
  readonly #budget: ByteBudget;

  /**
   * @param budget what all decoders that share it may hold of frames, until the one who takes them asks for the next. The
   *   first 4 KiB of each do not count: whoever sends little is not kept out by those who send much
   */
  constructor(budget: ByteBudget = new ByteBudget(Number.POSITIVE_INFINITY)) {
    this.#budget = budget;
  }

  /**
   * Takes the next bytes of the stream and gives the frames that they complete.
   * @throws FrameError when a header announces more than `MESSAGE_LENGTH_MAX` bytes, or the budget is spent
   */
  *push(bytes: Uint8Array): Generator<Frame, void, undefined> {
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#headerFilled < HEADER_LENGTH) {
        const part = rest.subarray(0, HEADER_LENGTH - this.#headerFilled);
        this.#header.set(part, this.#headerFilled);
        this.#headerFilled += part.length;
        rest = rest.subarray(part.length);
        if (this.#headerFilled < HEADER_LENGTH) return;
      }
      const header = new DataView(this.#header.buffer);
      const length = header.getUint32(0);
      if (length > MESSAGE_LENGTH_MAX) throw tooLong(length);
      const part = rest.subarray(0, length - this.#payloadFilled);
      this.#append(part, length);
      rest = rest.subarray(part.length);
      if (this.#payloadFilled < length) return;
      const payload = this.#payload.subarray(0, length);
      const counted = this.#counted;
      this.#headerFilled = 0;
      this.#payload = new Uint8Array(0);
      this.#payloadFilled = 0;
      this.#counted = 0;
      try {
        yield { streamId: header.getUint32(4), type: header.getUint8(8), flags: header.getUint8(9), payload };
      } finally {
        this.#budget.give(counted);
      }
    }
  }

  /** Lets go of a frame that will not be completed. */
  release(): void {
    this.#budget.give(this.#counted);
    this.#counted = 0;
    this.#payload = new Uint8Array(0);
  }

  /** Says that the stream ended. @throws FrameError when it ended inside a frame */
  end(): void {
    if (this.#headerFilled === 0) return;
    const message = `the connection ended inside a ttrpc frame, after ${this.#headerFilled + this.#payloadFilled} of its bytes`;
    throw new FrameError('FRAME_TRUNCATED', message);
  }

  #append(part: Uint8Array, length: number): void {
    const needed = this.#payloadFilled + part.length;
    if (needed > this.#payload.length) {
      const capacity = Math.min(length, Math.max(needed, FIRST_CAPACITY, 2 * this.#payload.length));
      const counted = Math.max(0, capacity - FIRST_CAPACITY);
      if (!this.#budget.take(counted - this.#counted)) {
        const message = `no room for ${capacity} bytes of a ttrpc frame: too many large messages are under way at once`;
        throw new FrameError('FRAME_NO_ROOM', message, { capacity });
      }
      this.#counted = counted;
      const grown = new Uint8Array(capacity);
      grown.set(this.#payload.subarray(0, this.#payloadFilled));
      this.#payload = grown;
    }
    this.#payload.set(part, this.#payloadFilled);
    this.#payloadFilled = needed;
  }
}
