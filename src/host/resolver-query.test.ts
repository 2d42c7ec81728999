import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { openInetSocket } from '../ffi/inet-socket.unsafe.ts';
import { serverFailure, withLength } from '../protocol/dns-message.ts';
import { askResolver, type HostResolver } from './resolver-query.ts';

const QUERY = Uint8Array.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0x61, 0, 0, 1, 0, 1]);
const at = (port: number): HostResolver => ({ address: '127.0.0.1', port, openSocket: openInetSocket });

/** A resolver for UDP that answers with what it was asked, reversed. */
async function udpResolver(): Promise<HostResolver> {
  const socket = createSocket('udp4', (message, { port, address }) => socket.send(message.toReversed(), port, address));
  onTestFinished(() => void socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return at(socket.address().port);
}

/** The same for TCP. @param pieces what it sends of an answer, piece by piece */
async function tcpResolver(pieces: (answer: Uint8Array) => Uint8Array[]): Promise<HostResolver> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (query: Buffer) => {
      for (const piece of pieces(withLength(Uint8Array.from(query.subarray(2)).toReversed()))) socket.write(piece);
      socket.end();
    });
  });
  onTestFinished(() => void server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return at((server.address() as AddressInfo).port);
}

const bytes = (message: Uint8Array | undefined): number[] => [...(message ?? [])];

test('many questions at once get the answer of each, by UDP', async () => {
  const resolver = await udpResolver();
  const queries = Array.from({ length: 50 }, (_, index) => Uint8Array.of(...QUERY, index));

  const answers = await Promise.all(queries.map((query) => askResolver(resolver, query, false)));

  expect(answers.map(bytes)).toEqual(queries.map((query) => bytes(query.toReversed())));
});

test('an answer by TCP may come in pieces', async () => {
  const resolver = await tcpResolver((answer) => [answer.subarray(0, 1), answer.subarray(1, 5), answer.subarray(5)]);

  expect(bytes(await askResolver(resolver, QUERY, true))).toEqual(bytes(QUERY.toReversed()));
});

test('a connection that ends within an answer gives none', async () => {
  const resolver = await tcpResolver((answer) => [answer.subarray(0, 5)]);

  expect(await askResolver(resolver, QUERY, true)).toBeUndefined();
});

test.each([false, true])('where nobody listens, the answer is a failure (TCP: %s)', async (tcp) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');

  expect(bytes(await askResolver(at(port), QUERY, tcp))).toEqual(bytes(serverFailure(QUERY)));
});
