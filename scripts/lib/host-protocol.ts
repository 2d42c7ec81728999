// The frames between this machine and the supervisor of the emulated host (images/host/supervisor.c), as pure bytes.
// A frame is u32 type, u32 payload length (both little-endian), payload.

export const FRAME_RUN = 1;
export const FRAME_INPUT = 2;
export const FRAME_INPUT_END = 3;
export const FRAME_SIGNAL = 4;
export const FRAME_WINDOW_SIZE = 5;
/** Asks for nothing: the interrupt that brings it is what it is for. The supervisor ignores it, as all that it does not know. */
export const FRAME_WAKE = 6;
export const FRAME_READY = 16;
export const FRAME_STDOUT = 17;
export const FRAME_STDERR = 18;
export const FRAME_CREDIT = 19;
export const FRAME_EXIT = 20;

/** Bytes of input that may be under way before the supervisor has given credit for them. */
export const INPUT_CREDIT = 65_536;
/** Longest payload that the supervisor takes. */
export const MAX_PAYLOAD = 4_194_304;

const HEADER_SIZE = 8;

/** What the supervisor tells. */
export type HostFrame =
  | { readonly type: 'ready' }
  | { readonly type: 'stdout' | 'stderr'; readonly data: Buffer }
  | { readonly type: 'credit'; readonly bytes: number }
  | { readonly type: 'exit'; readonly status: number };

/** A terminal's size in characters. */
export interface WindowSize {
  readonly rows: number;
  readonly columns: number;
}

/** A command for the supervisor. */
export interface RunRequest {
  /** Program (looked up on PATH) and its arguments: any bytes but NUL. */
  readonly command: readonly string[];
  /** Folder to run in. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Give it a terminal of this size instead of three pipes; its output comes as `stdout` then. */
  readonly terminal?: WindowSize;
}

/** A frame that carries these bytes. */
export function encodeFrame(type: number, payload: Uint8Array = new Uint8Array()): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_SIZE + payload.length);
  frame.writeUInt32LE(type, 0);
  frame.writeUInt32LE(payload.length, 4);
  frame.set(payload, HEADER_SIZE);
  return frame;
}

/** A frame that carries these numbers as u32. */
export function encodeNumbers(type: number, ...numbers: number[]): Buffer {
  const payload = Buffer.alloc(4 * numbers.length);
  for (const [index, number] of numbers.entries()) payload.writeUInt32LE(number, 4 * index);
  return encodeFrame(type, payload);
}

/**
 * The frame that starts a command.
 * @throws RangeError when a string holds a NUL (execve(2) could not take it), the command is empty, or all is too long
 */
export function encodeRun(request: RunRequest): Buffer {
  if (request.command.length === 0) throw new RangeError('the command is empty: give at least a program');
  const variables = Object.entries(request.environment).map(([name, value]) => `${name}=${value}`);
  const mode = request.terminal === undefined ? 'pipes' : `${request.terminal.rows}x${request.terminal.columns}`;
  const strings = [mode, request.folder, String(variables.length), ...variables, ...request.command];
  const unfit = strings.find((string) => string.includes('\0'));
  if (unfit !== undefined) throw new RangeError(`a NUL byte cannot be part of an argument: ${JSON.stringify(unfit)}`);
  const payload = Buffer.from(strings.map((string) => `${string}\0`).join(''));
  if (payload.length > MAX_PAYLOAD)
    throw new RangeError(`arguments and environment take ${payload.length} bytes; the most is ${MAX_PAYLOAD}`);
  return encodeFrame(FRAME_RUN, payload);
}

/** Cuts the supervisor's byte stream into frames, however the stream is chopped. */
export class FrameDecoder {
  #chunks: Buffer[] = [];
  #length = 0;

  /** Takes the next bytes (they become the decoder's); gives the frames that they complete. */
  push(chunk: Buffer): HostFrame[] {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    const frames: HostFrame[] = [];
    while (this.#length >= HEADER_SIZE) {
      const bytes = this.#peek(HEADER_SIZE);
      const size = HEADER_SIZE + bytes.readUInt32LE(4);
      if (this.#length < size) break;
      const whole = this.#peek(size);
      frames.push(decodeFrame(whole.readUInt32LE(0), whole.subarray(HEADER_SIZE, size)));
      this.#chunks = [whole.subarray(size)];
      this.#length -= size;
    }
    return frames;
  }

  /** The first chunk, made at least this long. */
  #peek(length: number): Buffer {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= length) return first;
    const joined = Buffer.concat(this.#chunks);
    this.#chunks = [joined];
    return joined;
  }
}

function decodeFrame(type: number, payload: Buffer): HostFrame {
  switch (type) {
    case FRAME_READY:
      return { type: 'ready' };
    case FRAME_STDOUT:
      return { type: 'stdout', data: payload };
    case FRAME_STDERR:
      return { type: 'stderr', data: payload };
    case FRAME_CREDIT:
      return { type: 'credit', bytes: payload.readUInt32LE(0) };
    case FRAME_EXIT:
      return { type: 'exit', status: payload.readUInt32LE(0) };
    default:
      throw new RangeError(`the emulated host's supervisor sent a frame of unknown type ${type}`);
  }
}
