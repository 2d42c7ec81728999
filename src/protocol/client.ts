// A ttrpc client on one connection. It knows no transport: see byte-stream.ts.
import { messageOf } from '../lib/errors.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { ByteStream, Timers } from './byte-stream.ts';
import { encodeFrame, type Frame, FrameDecoder, FrameError, FrameFlag, MessageType } from './frame.ts';
import { ItemQueue } from './item-queue.ts';
import type { Methods, RequestOf, ResponseOf, ServerStreamName, Service, UnaryName } from './service.ts';
import { StatusCode, StatusError, statusName } from './status.ts';
import { Request, Response } from './ttrpc.gen.ts';

const NANOSECONDS_PER_MS = 1_000_000n;
/** Stream ids are 32-bit, and a client uses the odd ones. */
const STREAM_ID_MAX = 0xffff_ffff;

/**
 * What a stream's items that nobody has taken yet may weigh, bytes. ttrpc knows no flow control for one stream, and to stop
 * reading the connection would stop every other call on it; so a reader that falls so far behind loses its stream.
 */
export const STREAM_BACKLOG_MAX = 8 * 1024 * 1024;
/** What an item weighs beside its bytes. */
const ITEM_OVERHEAD = 1024;

/** A call under way. */
interface PendingCall {
  take(frame: Frame): void;
  fail(error: StatusError): void;
}

export interface CallOptions {
  /** How long the answer may take, milliseconds. Absent: as long as the connection lives. */
  readonly timeoutMs?: number;
}

/** Makes calls over a connection that it owns. Calls may overlap. */
export class TtrpcClient {
  readonly #stream: ByteStream;
  readonly #timers: Timers;
  readonly #pending = new Map<number, PendingCall>();
  #nextStreamId = 1;
  #lost: StatusError | undefined;
  /** Settles when the connection is gone: with undefined after `close`, else with what broke it. Never rejects. */
  readonly closed: Promise<StatusError | undefined>;
  #closing = false;

  /** @param budget what an answer may take, where that is less than a frame; one that takes more costs the connection */
  constructor(stream: ByteStream, timers: Timers, budget?: ByteBudget) {
    this.#stream = stream;
    this.#timers = timers;
    this.closed = this.#receive(new FrameDecoder(budget));
  }

  /**
   * Calls a method and gives its answer.
   * @throws StatusError with the code of the server; DEADLINE_EXCEEDED after the time given; UNAVAILABLE when the
   *   connection is or gets lost (the call may have been carried out then)
   */
  async call<M extends Methods, Name extends UnaryName<M>>(
    service: Service<M>,
    name: Name,
    request: RequestOf<M[Name]>,
    options: CallOptions = {},
  ): Promise<ResponseOf<M[Name]>> {
    const method = methodOf(service, name, 'unary');
    const { timeoutMs } = options;
    const envelope = encodeRequest(service.name, name, method.request.encode(request), timeoutMs);
    const payload = await this.#exchange(`${service.name}/${name}`, envelope, timeoutMs);
    return decode(name, method.response, payload) as ResponseOf<M[Name]>;
  }

  /**
   * Calls a method that answers with a stream. `break` in a `for await`, or `return()`, tells the server that it may stop.
   * Reading throws StatusError as `call` does, after the items that came before; RESOURCE_EXHAUSTED when more than
   * `STREAM_BACKLOG_MAX` waited to be read.
   * @throws StatusError when the call cannot be made
   */
  stream<M extends Methods, Name extends ServerStreamName<M>>(
    service: Service<M>,
    name: Name,
    request: RequestOf<M[Name]>,
  ): AsyncIterableIterator<ResponseOf<M[Name]>, undefined> {
    const method = methodOf(service, name, 'serverStream');
    const envelope = encodeRequest(service.name, name, method.request.encode(request));
    const streamId = this.#newStreamId();
    const leave = (): void => {
      this.#pending.delete(streamId);
      const flags = FrameFlag.REMOTE_CLOSED | FrameFlag.NO_DATA;
      if (this.#lost === undefined) this.#send(encodeFrame(streamId, MessageType.DATA, new Uint8Array(0), flags));
    };
    const items = new ItemQueue<ResponseOf<M[Name]>>(STREAM_BACKLOG_MAX, leave);
    const end = (error?: unknown): void => {
      this.#pending.delete(streamId);
      items.end(error);
    };
    const take = (frame: Frame): void => {
      if (frame.type === MessageType.RESPONSE) {
        // A stream ends with a response where it failed. One that says OK brings nothing: its stream was data.
        unwrap(name, frame.payload);
        end();
        return;
      }
      if ((frame.flags & FrameFlag.NO_DATA) === 0) {
        const item = decode(name, method.response, frame.payload) as ResponseOf<M[Name]>;
        if (!items.push(item, frame.payload.length + ITEM_OVERHEAD)) {
          throw new StatusError('RESOURCE_EXHAUSTED', `${name}: more than ${STREAM_BACKLOG_MAX} bytes wait to be read`);
        }
      }
      if ((frame.flags & FrameFlag.REMOTE_CLOSED) !== 0) end();
    };
    this.#pending.set(streamId, {
      fail: end,
      take: (frame) => {
        try {
          take(frame);
        } catch (error) {
          if (frame.type === MessageType.DATA) leave();
          end(error);
        }
      },
    });
    this.#send(encodeFrame(streamId, MessageType.REQUEST, envelope, FrameFlag.REMOTE_OPEN));
    return items;
  }

  /** Ends the connection; calls under way fail with CANCELLED. */
  close(): void {
    this.#closing = true;
    this.#fail(new StatusError('CANCELLED', 'the connection was closed on this side'));
  }

  /** @returns the encoded message of the answer */
  async #exchange(path: string, envelope: Uint8Array, timeoutMs: number | undefined): Promise<Uint8Array> {
    const streamId = this.#newStreamId();
    const frame = encodeFrame(streamId, MessageType.REQUEST, envelope);
    let cancelTimer = (): void => {};
    const answer = new Promise<Frame>((resolve, reject) => {
      this.#pending.set(streamId, { take: resolve, fail: reject });
      if (timeoutMs === undefined) return;
      cancelTimer = this.#timers.after(timeoutMs, () => {
        reject(new StatusError('DEADLINE_EXCEEDED', `${path} was not answered within ${timeoutMs} ms`));
      });
    });
    this.#send(frame);
    try {
      const { type, payload } = await answer;
      if (type === MessageType.RESPONSE) return unwrap(path, payload);
      throw new StatusError('INTERNAL', `${path} was answered with stream data, which only streaming calls may`);
    } finally {
      cancelTimer();
      this.#pending.delete(streamId);
    }
  }

  #newStreamId(): number {
    if (this.#lost !== undefined) throw this.#lost;
    if (this.#nextStreamId > STREAM_ID_MAX) {
      throw new StatusError('UNAVAILABLE', 'this connection has used up its stream ids: open another one');
    }
    const streamId = this.#nextStreamId;
    this.#nextStreamId += 2;
    return streamId;
  }

  #send(frame: Uint8Array): void {
    this.#stream.write(frame).catch((cause) => this.#fail(lost(cause)));
  }

  async #receive(decoder: FrameDecoder): Promise<StatusError | undefined> {
    try {
      for (let bytes = await this.#stream.read(); bytes !== undefined; bytes = await this.#stream.read()) {
        for (const frame of decoder.push(bytes)) {
          if (frame.type !== MessageType.RESPONSE && frame.type !== MessageType.DATA) {
            throw new FrameError('FRAME_UNEXPECTED', `a ttrpc client cannot take a frame of type ${frame.type}`);
          }
          // What nobody awaits any more came after a deadline, or after its reader had had enough.
          this.#pending.get(frame.streamId)?.take(frame);
        }
      }
      decoder.end();
      this.#fail(lost(new Error('the other end closed it')));
    } catch (error) {
      this.#fail(lost(error));
    }
    return this.#closing ? undefined : this.#lost;
  }

  #fail(error: StatusError): void {
    if (this.#lost !== undefined) return;
    this.#lost = error;
    for (const call of [...this.#pending.values()]) call.fail(error);
    this.#stream.close();
  }
}

function methodOf<M extends Methods>(service: Service<M>, name: keyof M & string, kind: 'unary' | 'serverStream') {
  const method = service.methods[name];
  if (method?.kind === kind) return method;
  throw new TypeError(`service ${service.name} has no ${kind} method ${name}`);
}

function encodeRequest(service: string, method: string, payload: Uint8Array, timeoutMs = 0): Uint8Array {
  const timeoutNano = BigInt(Math.ceil(timeoutMs)) * NANOSECONDS_PER_MS;
  return Request.encode({ service, method, payload, timeoutNano, metadata: [] });
}

/** The message in a response. @throws StatusError with its status, where that is not OK */
function unwrap(method: string, payload: Uint8Array): Uint8Array {
  const response = decode(method, Response, payload);
  const code = response.status?.code ?? StatusCode.OK;
  if (code === StatusCode.OK) return response.payload;
  throw new StatusError(statusName(code), response.status?.message ?? '', { method });
}

function lost(cause: unknown): StatusError {
  return new StatusError('UNAVAILABLE', `the connection was lost: ${messageOf(cause)}`, {}, { cause });
}

function decode<T>(name: string, codec: { decode(input: Uint8Array): T }, bytes: Uint8Array): T {
  try {
    return codec.decode(bytes);
  } catch (cause) {
    throw new StatusError('INTERNAL', `the answer of ${name} cannot be decoded: ${messageOf(cause)}`, {}, { cause });
  }
}
