// A ttrpc server for one connection at a time. It knows no transport: see byte-stream.ts.
//
// Deadlines: `Request.timeout_nano` is not enforced here; the caller stops waiting by itself and drops a late answer. What a
// handler does (a container half made) cannot be taken back by a clock, and a call that is under way keeps its place among
// `CALLS_MAX` until it is over, because that bounds what one caller can have pending. One that only waits is over when its
// connection is: see `Caller`.
//
// Errors go to the stream that they concern, as a response with a status, and the connection goes on. It ends only where
// framing is broken or the peer is no ttrpc client.
import { ByteBudget } from './byte-budget.ts';
import type { ByteStream } from './byte-stream.ts';
import {
  encodeFrame,
  type Frame,
  FrameDecoder,
  FrameError,
  FrameFlag,
  MESSAGE_LENGTH_MAX,
  MessageType,
} from './frame.ts';
import { encodeAnswer, encodeRefusal, type FoundCall, type MethodTable } from './method-table.ts';
import type { Caller } from './service.ts';
import { StatusError } from './status.ts';

export { MethodTable } from './method-table.ts';

/** Calls of one connection that may be under way at once; more are refused with RESOURCE_EXHAUSTED. */
export const CALLS_MAX = 1024;

/** What a call holds beside its messages, bytes: on QuickJS a waiting one takes four KiB, and some more to be answered. */
const CALL_OVERHEAD = 8192;

/** A streaming call that is under way. */
interface OpenStream {
  readonly items: AsyncIterator<unknown>;
  /** Whether the caller may still send something: its half-close ends the call then. */
  readonly remoteOpen: boolean;
  /** A response was sent on it, which was its last frame. */
  answered: boolean;
}

/** What all connections that share it may hold. */
export interface ServerLimits {
  /** Of frames that are not complete: a connection that needs more is ended. */
  readonly frames: ByteBudget;
  /** Of calls under way and of answers that wait to be sent: calls for which nothing is left are refused. */
  readonly calls: ByteBudget;
}

const UNLIMITED: ServerLimits = {
  frames: new ByteBudget(Number.POSITIVE_INFINITY),
  calls: new ByteBudget(Number.POSITIVE_INFINITY),
};

/**
 * Serves one connection until it ends, then closes it. Calls run side by side and are answered as they end.
 * @throws FrameError when the peer broke the framing, and whatever the stream throws when the connection broke
 */
export async function serveConnection(
  stream: ByteStream,
  table: MethodTable,
  limits: ServerLimits = UNLIMITED,
): Promise<void> {
  await new Connection(stream, table, limits).serve();
}

class Connection {
  readonly #stream: ByteStream;
  readonly #table: MethodTable;
  readonly #limits: ServerLimits;
  readonly #streams = new Map<number, OpenStream>();
  readonly #callers = new Set<Caller>();
  #lastStreamId = 0;
  #open = true;

  constructor(stream: ByteStream, table: MethodTable, limits: ServerLimits) {
    this.#stream = stream;
    this.#table = table;
    this.#limits = limits;
  }

  async serve(): Promise<void> {
    const decoder = new FrameDecoder(this.#limits.frames);
    try {
      for (let bytes = await this.#stream.read(); bytes !== undefined; bytes = await this.#stream.read()) {
        for (const frame of decoder.push(bytes)) {
          const error = this.#take(frame);
          // Waited for: a peer that sends nonsense and reads no answers fills its own buffers, not this memory.
          if (error !== undefined) await this.#refuse(frame.streamId, error);
        }
      }
      decoder.end();
    } finally {
      this.#open = false;
      decoder.release();
      for (const streamId of [...this.#streams.keys()]) this.#leave(streamId);
      for (const caller of this.#callers) caller.whenGone?.(caller);
      this.#stream.close();
    }
  }

  /** @returns what is wrong with this frame, where that concerns its stream only. @throws FrameError */
  #take(frame: Frame): StatusError | undefined {
    if (frame.type !== MessageType.REQUEST && frame.type !== MessageType.DATA) {
      // Not answered: two servers connected to each other would answer each other's answers for ever.
      throw new FrameError('FRAME_UNEXPECTED', `a ttrpc server cannot take a frame of type ${frame.type}`);
    }
    try {
      // PROTOCOL.md, "Message Frame".
      if (frame.streamId % 2 === 0) throw invalid(`stream ${frame.streamId}: a client's streams have odd numbers`);
      if (frame.type === MessageType.DATA) this.#takeData(frame);
      else this.#takeRequest(frame);
      return undefined;
    } catch (error) {
      if (error instanceof StatusError) return error;
      throw error;
    }
  }

  #takeRequest({ streamId, flags, payload }: Frame): void {
    if (streamId <= this.#lastStreamId) {
      throw invalid(`stream ${streamId} was used before or comes late: the last one was ${this.#lastStreamId}`);
    }
    this.#lastStreamId = streamId;
    if (this.#callers.size >= CALLS_MAX) {
      throw new StatusError('RESOURCE_EXHAUSTED', `more than ${CALLS_MAX} calls at once on one connection`);
    }
    const call = this.#table.find(payload);
    const weight = payload.length + CALL_OVERHEAD;
    if (!this.#limits.calls.take(weight)) {
      throw new StatusError('RESOURCE_EXHAUSTED', `no room for another call of ${call.path}: wait for others to end`);
    }
    void this.#run(streamId, call, (flags & FrameFlag.REMOTE_OPEN) !== 0, weight);
  }

  /**
   * No method here takes more than its request. So data may only be the caller's half-close, on a stream that it had kept
   * open: ttrpc has no other way to say that a caller has had enough.
   */
  #takeData({ streamId, flags, payload }: Frame): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) throw invalid(`stream ${streamId} takes no data: it is unary, over, or never was`);
    if (!stream.remoteOpen) throw invalid(`data on stream ${streamId}, which was closed by its caller`);
    if (payload.length > 0 || (flags & FrameFlag.REMOTE_CLOSED) === 0) {
      throw invalid(`data on stream ${streamId}: its method takes one request and nothing else`);
    }
    this.#leave(streamId);
  }

  async #run(streamId: number, call: FoundCall, remoteOpen: boolean, weight: number): Promise<void> {
    const caller: Caller = { whenGone: undefined };
    this.#callers.add(caller);
    try {
      if (call.kind === 'unary') {
        const response = checkedLength(call.path, encodeAnswer(call.encode(await call.run(caller))));
        await this.#send(streamId, MessageType.RESPONSE, response);
      } else {
        await this.#runStream(streamId, call, remoteOpen);
      }
    } catch (error) {
      await this.#send(streamId, MessageType.RESPONSE, encodeRefusal(error));
    } finally {
      this.#callers.delete(caller);
      this.#limits.calls.give(weight);
    }
  }

  async #runStream(
    streamId: number,
    call: Extract<FoundCall, { kind: 'serverStream' }>,
    remoteOpen: boolean,
  ): Promise<void> {
    const items = call.run()[Symbol.asyncIterator]();
    const stream: OpenStream = { items, remoteOpen, answered: false };
    this.#streams.set(streamId, stream);
    try {
      for (let next = await items.next(); !next.done && this.#streams.has(streamId); next = await items.next()) {
        await this.#send(streamId, MessageType.DATA, checkedLength(call.path, call.encode(next.value)));
      }
    } finally {
      this.#leave(streamId);
    }
    if (stream.answered) return;
    await this.#send(streamId, MessageType.DATA, new Uint8Array(0), FrameFlag.REMOTE_CLOSED | FrameFlag.NO_DATA);
  }

  /** Ends a streaming call, unless it has ended. */
  #leave(streamId: number): void {
    const items = this.#streams.get(streamId)?.items;
    this.#streams.delete(streamId);
    // What a handler says of its own end concerns nobody any more.
    items?.return?.().catch(() => {});
  }

  async #refuse(streamId: number, error: StatusError): Promise<void> {
    // "Response": no data may follow it.
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) stream.answered = true;
    this.#leave(streamId);
    await this.#send(streamId, MessageType.RESPONSE, encodeRefusal(error));
  }

  async #send(streamId: number, type: number, payload: Uint8Array, flags = 0): Promise<void> {
    if (!this.#open) return;
    const frame = encodeFrame(streamId, type, payload, flags);
    this.#limits.calls.add(frame.length);
    // A write that fails means that the reader is gone; the reading side finds out and says so.
    await this.#stream.write(frame).catch(() => this.#stream.close());
    this.#limits.calls.give(frame.length);
  }
}

function invalid(message: string): StatusError {
  return new StatusError('INVALID_ARGUMENT', message);
}

function checkedLength(path: string, bytes: Uint8Array): Uint8Array {
  if (bytes.length <= MESSAGE_LENGTH_MAX) return bytes;
  throw new StatusError('RESOURCE_EXHAUSTED', `an answer of ${path} has ${bytes.length} bytes: too many for a frame`);
}
