// A ttrpc client on one connection. It knows no transport: see byte-stream.ts.
import { messageOf } from '../lib/errors.ts';
import type { ByteStream, Timers } from './byte-stream.ts';
import { encodeFrame, FrameDecoder, FrameError, MessageType } from './frame.ts';
import type { Methods, RequestOf, ResponseOf, Service } from './service.ts';
import { StatusCode, StatusError, statusName } from './status.ts';
import { Request, Response } from './ttrpc.gen.ts';

const NANOSECONDS_PER_MS = 1_000_000n;
/** Stream ids are 32-bit, and a client uses the odd ones. */
const STREAM_ID_MAX = 0xffff_ffff;

interface PendingCall {
  resolve(payload: Uint8Array): void;
  reject(error: StatusError): void;
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

  constructor(stream: ByteStream, timers: Timers) {
    this.#stream = stream;
    this.#timers = timers;
    this.closed = this.#receive();
  }

  /**
   * Calls a method and gives its answer.
   * @throws StatusError with the code of the server; DEADLINE_EXCEEDED after the time given; UNAVAILABLE when the
   *   connection is or gets lost (the call may have been carried out then)
   */
  async call<M extends Methods, Name extends keyof M & string>(
    service: Service<M>,
    name: Name,
    request: RequestOf<M[Name]>,
    options: CallOptions = {},
  ): Promise<ResponseOf<M[Name]>> {
    const method = service.methods[name];
    if (method === undefined) throw new TypeError(`service ${service.name} has no method ${name}`);
    const envelope = Request.encode({
      service: service.name,
      method: name,
      payload: method.request.encode(request).finish(),
      timeoutNano: BigInt(Math.ceil(options.timeoutMs ?? 0)) * NANOSECONDS_PER_MS,
      metadata: [],
    }).finish();
    const payload = await this.#exchange(`${service.name}/${name}`, envelope, options.timeoutMs);
    const response = decode(name, Response, payload);
    const code = response.status?.code ?? StatusCode.OK;
    if (code !== StatusCode.OK) {
      throw new StatusError(statusName(code), response.status?.message ?? '', { method: name });
    }
    return decode(name, method.response, response.payload) as ResponseOf<M[Name]>;
  }

  /** Ends the connection; calls under way fail with CANCELLED. */
  close(): void {
    this.#closing = true;
    this.#fail(new StatusError('CANCELLED', 'the connection was closed on this side'));
  }

  async #exchange(path: string, envelope: Uint8Array, timeoutMs: number | undefined): Promise<Uint8Array> {
    if (this.#lost !== undefined) throw this.#lost;
    if (this.#nextStreamId > STREAM_ID_MAX) {
      throw new StatusError('UNAVAILABLE', 'this connection has used up its stream ids: open another one');
    }
    const streamId = this.#nextStreamId;
    const frame = encodeFrame(streamId, MessageType.REQUEST, envelope);
    this.#nextStreamId += 2;
    let cancelTimer = (): void => {};
    const answer = new Promise<Uint8Array>((resolve, reject) => {
      this.#pending.set(streamId, { resolve, reject });
      if (timeoutMs === undefined) return;
      cancelTimer = this.#timers.after(timeoutMs, () => {
        reject(new StatusError('DEADLINE_EXCEEDED', `${path} was not answered within ${timeoutMs} ms`));
      });
    });
    this.#stream.write(frame).catch((cause) => this.#fail(lost(cause)));
    try {
      return await answer;
    } finally {
      cancelTimer();
      this.#pending.delete(streamId);
    }
  }

  async #receive(): Promise<StatusError | undefined> {
    const decoder = new FrameDecoder();
    try {
      for (let bytes = await this.#stream.read(); bytes !== undefined; bytes = await this.#stream.read()) {
        for (const frame of decoder.push(bytes)) {
          if (frame.type !== MessageType.RESPONSE) {
            throw new FrameError('FRAME_UNEXPECTED', `a ttrpc client cannot take a frame of type ${frame.type}`);
          }
          // An answer that nobody awaits any more came after its deadline.
          this.#pending.get(frame.streamId)?.resolve(frame.payload);
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
    for (const call of [...this.#pending.values()]) call.reject(error);
    this.#stream.close();
  }
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
