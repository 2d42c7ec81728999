// A ttrpc server for one connection at a time. It knows no transport: see byte-stream.ts.
import { messageOf } from '../lib/errors.ts';
import type { ByteStream } from './byte-stream.ts';
import { encodeFrame, FrameDecoder, FrameError, MESSAGE_LENGTH_MAX, MessageType } from './frame.ts';
import type { AnyMethod, Handlers, Methods, Service } from './service.ts';
import { StatusCode, StatusError } from './status.ts';
import { Request, Response } from './ttrpc.gen.ts';

/** Calls of one connection that may be under way at once; more are refused with RESOURCE_EXHAUSTED. */
export const CALLS_MAX = 1024;

interface Implementation {
  readonly method: AnyMethod;
  readonly handler: (request: unknown) => Promise<unknown>;
}

/** The methods that a server answers, of any number of services. */
export class MethodTable {
  readonly #implementations = new Map<string, Implementation>();

  /** Adds a service. */
  add<M extends Methods>(service: Service<M>, handlers: Handlers<M>): this {
    for (const [name, method] of Object.entries(service.methods)) {
      const handler = handlers[name] as Implementation['handler'] | undefined;
      if (handler === undefined) throw new TypeError(`service ${service.name} has no handler for ${name}`);
      this.#implementations.set(`${service.name}/${name}`, { method, handler });
    }
    return this;
  }

  /** Runs one call. Never throws: what goes wrong is the response's status. @returns an encoded `Response` */
  async answer(payload: Uint8Array): Promise<Uint8Array> {
    try {
      const request = decode('the ttrpc envelope', Request, payload);
      const path = `${request.service}/${request.method}`;
      const implementation = this.#implementations.get(path);
      if (implementation === undefined) throw new StatusError('UNIMPLEMENTED', `method ${path} is not known here`);
      const message = decode(path, implementation.method.request, request.payload);
      const answer = implementation.method.response.encode(await implementation.handler(message)).finish();
      const status = { code: StatusCode.OK, message: '' };
      const response = Response.encode({ status, payload: answer }).finish();
      if (response.length <= MESSAGE_LENGTH_MAX) return response;
      throw new StatusError(
        'RESOURCE_EXHAUSTED',
        `the answer of ${path} has ${response.length} bytes: too many for a frame`,
      );
    } catch (error) {
      return refusal(error);
    }
  }
}

function decode<T>(what: string, codec: { decode(input: Uint8Array): T }, bytes: Uint8Array): T {
  try {
    return codec.decode(bytes);
  } catch (cause) {
    const message = `the message for ${what} cannot be decoded: ${messageOf(cause)}`;
    throw new StatusError('INVALID_ARGUMENT', message, {}, { cause });
  }
}

function refusal(error: unknown): Uint8Array {
  const code = error instanceof StatusError ? error.status : StatusCode.UNKNOWN;
  // Far below a frame's limit, whatever a handler put into its message.
  const message = messageOf(error).slice(0, 65536);
  return Response.encode({ status: { code, message }, payload: new Uint8Array(0) }).finish();
}

/**
 * Serves one connection until it ends, then closes it. Calls run side by side and are answered as they end.
 * @throws FrameError when the peer broke the framing, and whatever the stream throws when the connection broke
 */
export async function serveConnection(stream: ByteStream, table: MethodTable): Promise<void> {
  const decoder = new FrameDecoder();
  let calls = 0;
  let open = true;
  const answer = async (streamId: number, payload: Uint8Array): Promise<void> => {
    calls += 1;
    const response =
      calls > CALLS_MAX
        ? refusal(new StatusError('RESOURCE_EXHAUSTED', `more than ${CALLS_MAX} calls at once on one connection`))
        : await table.answer(payload);
    calls -= 1;
    // A write that fails means that the reader is gone; the reading side finds out and says so.
    if (open) await stream.write(encodeFrame(streamId, MessageType.RESPONSE, response)).catch(() => stream.close());
  };
  try {
    for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) {
      for (const frame of decoder.push(bytes)) {
        // ttrpc, "Stream Identifiers": streams that the client starts have odd numbers.
        if (frame.type !== MessageType.REQUEST || frame.streamId % 2 === 0) {
          const message = `a ttrpc server cannot take a frame of type ${frame.type} on stream ${frame.streamId}`;
          throw new FrameError('FRAME_UNEXPECTED', message);
        }
        void answer(frame.streamId, frame.payload);
      }
    }
    decoder.end();
  } finally {
    open = false;
    stream.close();
  }
}
