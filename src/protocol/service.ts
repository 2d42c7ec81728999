// A service as data: its name, and per method how its messages are read and written.
import type { MessageCodec } from './codec.ts';

interface Codecs<Request, Response> {
  readonly request: MessageCodec<Request>;
  readonly response: MessageCodec<Response>;
}

/** One request, one response. */
export interface UnaryMethod<Request, Response> extends Codecs<Request, Response> {
  readonly kind: 'unary';
}

/** One request, any number of responses until one end has had enough. */
export interface ServerStreamMethod<Request, Response> extends Codecs<Request, Response> {
  readonly kind: 'serverStream';
}

// biome-ignore-start lint/suspicious/noExplicitAny: a method of any two messages; `unknown` would fit none, as codecs are invariant
type AnyUnary = UnaryMethod<any, any>;
type AnyServerStream = ServerStreamMethod<any, any>;
// biome-ignore-end lint/suspicious/noExplicitAny: see above
export type AnyMethod = AnyUnary | AnyServerStream;
export type Methods = Readonly<Record<string, AnyMethod>>;

export interface Service<M extends Methods> {
  /** Package and name, as in the .proto file: `tskata.agent.v1.Agent`. */
  readonly name: string;
  readonly methods: M;
}

export type RequestOf<M> = M extends Codecs<infer Request, infer _> ? Request : never;
export type ResponseOf<M> = M extends Codecs<infer _, infer Response> ? Response : never;

/** Names of the methods that are answered once. */
export type UnaryName<M extends Methods> = {
  [Name in keyof M & string]: M[Name] extends AnyUnary ? Name : never;
}[keyof M & string];

/** Names of the methods that are answered by a stream. */
export type ServerStreamName<M extends Methods> = Exclude<keyof M & string, UnaryName<M>>;

/**
 * What answers a streaming call: the items in their order. The next one is asked for when the one before has been written.
 * When the caller is gone or has had enough, `return()` of the iterator is called, once, even while a `next()` is under
 * way. An async generator hears of that only at its next `yield`: who waits for things to happen gives an `ItemQueue`.
 */
export type StreamHandler<Request, Response> = (request: Request) => AsyncIterable<Response>;

/** Who waits for the answer of a call. */
export interface Caller {
  /**
   * Called once, should the connection end before the call does. A handler that would wait for long sets it, forgets what it
   * waits for and throws: what a call holds counts against others until it is over.
   */
  whenGone: ((caller: Caller) => void) | undefined;
}

/** What answers a service: a function per method. What it throws is the call's status. */
export type Handlers<M extends Methods> = {
  readonly [Name in keyof M]: M[Name] extends AnyUnary
    ? (request: RequestOf<M[Name]>, caller: Caller) => Promise<ResponseOf<M[Name]>>
    : StreamHandler<RequestOf<M[Name]>, ResponseOf<M[Name]>>;
};

/** Pairs the codecs of a method that is answered once. */
export function method<Request, Response>(
  request: MessageCodec<Request>,
  response: MessageCodec<Response>,
): UnaryMethod<Request, Response> {
  return { kind: 'unary', request, response };
}

/** Pairs the codecs of a method that is answered by a stream: `returns (stream Response)`. */
export function serverStream<Request, Response>(
  request: MessageCodec<Request>,
  response: MessageCodec<Response>,
): ServerStreamMethod<Request, Response> {
  return { kind: 'serverStream', request, response };
}
