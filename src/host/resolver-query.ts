// Asks a resolver one question: a socket of its own for each, so that nothing else is taken for the answer.
import { createSocket } from 'node:dgram';
import { Socket } from 'node:net';
import type { OwnedFd } from '../ffi/fd.unsafe.ts';
import { DNS_MESSAGE_BYTES_MAX, DnsStream, serverFailure, withLength } from '../protocol/dns-message.ts';

/** Docker asks up to three servers, each for four seconds. Milliseconds. */
const ANSWER_MS = 13_000;

/** A resolver, and how to come to it. */
export interface HostResolver {
  readonly address: string;
  readonly port: number;
  /** Opens a socket where the resolver is. @throws SystemError */
  openSocket(protocol: 'udp' | 'tcp'): OwnedFd;
}

/**
 * Asks, and waits for the answer; what the resolver's host refuses is answered in its place, by SERVFAIL.
 * @returns nothing when there was no answer in time
 * @throws SystemError when there is no socket to ask by (rejects)
 */
export async function askResolver(
  resolver: HostResolver,
  query: Uint8Array,
  tcp: boolean,
): Promise<Uint8Array | undefined> {
  using resources = new DisposableStack();
  const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>();
  const question: Question = { resolver, query, resources, answer: resolve };
  const timer = setTimeout(() => resolve(undefined), ANSWER_MS);
  timer.unref();
  resources.defer(() => clearTimeout(timer));
  (tcp ? askByTcp : askByUdp)(question);
  return await promise;
}

interface Question {
  readonly resolver: HostResolver;
  readonly query: Uint8Array;
  /** Ends with the question. */
  readonly resources: DisposableStack;
  readonly answer: (message: Uint8Array | undefined) => void;
}

function askByUdp({ resolver, query, resources, answer }: Question): void {
  const socket = createSocket('udp4');
  resources.defer(() => socket.close());
  socket.on('error', () => answer(serverFailure(query)));
  socket.on('message', (message) => answer(message));
  socket.bind({ fd: resolver.openSocket('udp').fd });
  socket.connect(resolver.port, resolver.address, () => socket.send(query));
}

function askByTcp({ resolver, query, resources, answer }: Question): void {
  const socket = new Socket({ fd: resolver.openSocket('tcp').fd });
  resources.defer(() => socket.destroy());
  const stream = new DnsStream(DNS_MESSAGE_BYTES_MAX);
  socket.on('error', () => answer(serverFailure(query)));
  socket.on('end', () => answer(undefined));
  socket.on('data', (bytes: Buffer) => {
    stream.push(bytes);
    const message = stream.next();
    if (message !== undefined) answer(message);
  });
  socket.connect(resolver.port, resolver.address, () => socket.write(withLength(query)));
  socket.resume();
}
