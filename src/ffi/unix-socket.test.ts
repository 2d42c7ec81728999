import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { duplicateFd, OwnedFd } from './fd.unsafe.ts';
import { listenUnix, UnixConnection } from './unix-socket.unsafe.ts';

let folder: string;
let path: string;
let server: Server;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tskata-unix-'));
  path = join(folder, 'socket');
  server = createServer().listen(path);
  await once(server, 'listening');
});

afterEach(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

/** A connection and the server's end of it. */
async function connected(timeoutMs: number): Promise<[UnixConnection, Socket]> {
  const accepted = once(server, 'connection');
  const connection = UnixConnection.connect(path, timeoutMs);
  const [socket] = (await accepted) as [Socket];
  return [connection, socket];
}

test('bytes go both ways', async () => {
  const [connection, socket] = await connected(1000);
  using _connection = connection;
  const arrived = once(socket, 'data');

  connection.send(Buffer.from('question'));
  const [question] = (await arrived) as [Buffer];
  await new Promise((resolve) => socket.write('answer', resolve));
  const answer = connection.receive(6);
  socket.destroy();

  expect(question.toString()).toBe('question');
  expect(Buffer.from(answer.bytes).toString()).toBe('answer');
  expect(answer.fds).toEqual([]);
});

test('a silent peer is an EAGAIN after the timeout', async () => {
  const [connection, socket] = await connected(30);
  using _connection = connection;

  expect(() => connection.receive(1)).toThrow(expect.objectContaining({ code: 'EAGAIN' }));
  socket.destroy();
});

test('a peer that has gone is an ECONNRESET', async () => {
  const [connection, socket] = await connected(1000);
  using _connection = connection;
  socket.destroy();
  await once(socket, 'close');

  expect(() => connection.receive(1)).toThrow('the peer closed the connection');
});

test('nobody there is told with the path', () => {
  const missing = join(folder, 'nobody');

  expect(() => UnixConnection.connect(missing, 100)).toThrow(`connect on ${missing} failed with ENOENT`);
});

test('a path longer than the kernel takes is refused', () => {
  const long = join(folder, 'x'.repeat(200));

  expect(() => UnixConnection.connect(long, 100)).toThrow('ENAMETOOLONG');
});

test('a server that takes nobody any more is told, not waited for', () => {
  const name = join(folder, 'busy');
  using stack = new DisposableStack();
  stack.use(listenUnix(name));
  const connect = () => void stack.use(UnixConnection.connect(name, 100));
  // The kernel keeps one more than it was told.
  connect();
  connect();

  expect(connect).toThrow(`connect on ${name} failed with EAGAIN: its server is busy with others`);
});

test('descriptors travel with the bytes', () => {
  const file = join(folder, 'file');
  writeFileSync(file, 'content');
  using sent = new OwnedFd(openSync(file, 'r'));
  const [left, right] = UnixConnection.pair(1000);
  using _left = left;
  using _right = right;

  left.send(Buffer.from('ab'), [sent.fd, sent.fd]);
  const { bytes, fds } = right.receive(2);
  const [first, second] = fds;
  const text = readFileSync(first?.fd ?? -1, 'utf8');
  for (const fd of fds) fd[Symbol.dispose]();

  expect(Buffer.from(bytes).toString()).toBe('ab');
  expect(text).toBe('content');
  expect(second).toBeDefined();
  expect(() => closeSync(first?.fd ?? -1)).toThrow('EBADF');
});

test('more descriptors than expected are refused', () => {
  const [left, right] = UnixConnection.pair(1000);
  using _left = left;
  using _right = right;

  left.send(Buffer.from('a'), Array(8).fill(left.fd));

  expect(() => right.receive(1, 2)).toThrow('more than 2 file descriptors');
});

test('a listening socket keeps who connects, and its descriptor serves though its name is gone', async () => {
  const name = join(folder, 'listener');
  using listener = listenUnix(name);
  using connection = UnixConnection.connect(name, 1000);
  rmSync(name);
  const accepting = createServer().listen({ fd: duplicateFd(listener.fd).fd });
  const [socket] = (await once(accepting, 'connection')) as [Socket];
  await new Promise((resolve) => socket.write('hello', resolve));

  const { bytes } = connection.receive(5);
  socket.destroy();
  accepting.close();

  expect(Buffer.from(bytes).toString()).toBe('hello');
});

test('a name that is taken is refused', () => {
  expect(() => listenUnix(path)).toThrow(`bind on ${path} failed with EADDRINUSE`);
});
