// The methods that a server answers, and what an encoded request asks of them.
import { messageOf } from '../lib/errors.ts';
import type { AnyMethod, Caller, Handlers, Methods, Service, StreamHandler } from './service.ts';
import { StatusCode, StatusError } from './status.ts';
import { Request, Response } from './ttrpc.gen.ts';

type UnaryHandler = (request: unknown, caller: Caller) => Promise<unknown>;
type Handler = UnaryHandler | StreamHandler<unknown, unknown>;

interface Implementation {
  readonly method: AnyMethod;
  readonly handler: Handler;
}

interface Call {
  readonly path: string;
  /** Encodes what `run` gives. @throws what the codec throws, of a message that is none */
  encode(message: unknown): Uint8Array;
}

/** A request that was understood. What its handler throws `run` throws, or its result does. */
export type FoundCall =
  | (Call & { readonly kind: 'unary'; run(caller: Caller): Promise<unknown> })
  | (Call & { readonly kind: 'serverStream'; run(): AsyncIterable<unknown> });

/** The methods that a server answers, of any number of services. */
export class MethodTable {
  readonly #implementations = new Map<string, Implementation>();

  /** Adds a service. */
  add<M extends Methods>(service: Service<M>, handlers: Handlers<M>): this {
    for (const [name, method] of Object.entries(service.methods)) {
      const handler = handlers[name] as Handler | undefined;
      if (handler === undefined) throw new TypeError(`service ${service.name} has no handler for ${name}`);
      this.#implementations.set(`${service.name}/${name}`, { method, handler });
    }
    return this;
  }

  /**
   * Understands a request; what it gives no longer refers to `payload` but for bytes fields.
   * @throws StatusError INVALID_ARGUMENT, UNIMPLEMENTED
   */
  find(payload: Uint8Array): FoundCall {
    const request = decode('the ttrpc envelope', Request, payload);
    const path = `${request.service}/${request.method}`;
    const implementation = this.#implementations.get(path);
    if (implementation === undefined) throw new StatusError('UNIMPLEMENTED', `method ${path} is not known here`);
    const { method } = implementation;
    const message = decode(path, method.request, request.payload);
    const encode = (item: unknown): Uint8Array => method.response.encode(item);
    if (method.kind === 'unary') {
      const handler = implementation.handler as UnaryHandler;
      return { kind: 'unary', path, encode, run: (caller) => handler(message, caller) };
    }
    const handler = implementation.handler as StreamHandler<unknown, unknown>;
    return { kind: 'serverStream', path, encode, run: () => handler(message) };
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

/** The encoded `Response` of a call that ended well. */
export function encodeAnswer(message: Uint8Array): Uint8Array {
  return Response.encode({ status: { code: StatusCode.OK, message: '' }, payload: message });
}

/** Longest text of a status, characters: of the longest path still enough to know what is meant. */
const REFUSAL_TEXT_MAX = 4096;

/** The encoded `Response` of a call that did not. */
export function encodeRefusal(error: unknown): Uint8Array {
  const code = error instanceof StatusError ? error.status : StatusCode.UNKNOWN;
  const message = messageOf(error).slice(0, REFUSAL_TEXT_MAX);
  return Response.encode({ status: { code, message }, payload: new Uint8Array(0) });
}
