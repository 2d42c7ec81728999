// A service as data: its name, and per method how its messages are read and written.
import type { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';

/** Reads and writes one kind of message; what ts-proto generates. */
export interface MessageCodec<T> {
  encode(message: T): BinaryWriter;
  decode(input: BinaryReader | Uint8Array): T;
}

export interface Method<Request, Response> {
  readonly request: MessageCodec<Request>;
  readonly response: MessageCodec<Response>;
}

// biome-ignore lint/suspicious/noExplicitAny: a method of any two messages; `unknown` would fit none, as codecs are invariant
export type AnyMethod = Method<any, any>;
export type Methods = Readonly<Record<string, AnyMethod>>;

export interface Service<M extends Methods> {
  /** Package and name, as in the .proto file: `tskata.agent.v1.Agent`. */
  readonly name: string;
  readonly methods: M;
}

export type RequestOf<M> = M extends Method<infer Request, infer _> ? Request : never;
export type ResponseOf<M> = M extends Method<infer _, infer Response> ? Response : never;

/** What answers a service: a function per method. What it throws is the call's status. */
export type Handlers<M extends Methods> = {
  readonly [Name in keyof M]: (request: RequestOf<M[Name]>) => Promise<ResponseOf<M[Name]>>;
};

/** Pairs the codecs of a method. */
export function method<Request, Response>(
  request: MessageCodec<Request>,
  response: MessageCodec<Response>,
): Method<Request, Response> {
  return { request, response };
}
