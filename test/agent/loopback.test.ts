// Connections of the host to the guest's loopback.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { TestAgent } from './harness.ts';

let agent: TestAgent;
const servers: ChildProcess[] = [];
beforeAll(async () => {
  agent = await TestAgent.start();
  agent.runInside('ip', 'link', 'set', 'lo', 'up');
});
afterEach(() => {
  for (const server of servers.splice(0)) server.kill('SIGKILL');
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});

interface Server {
  readonly port: number;
  readonly process: ChildProcess;
  /** Settles with the next line that it prints. */
  printed(): Promise<string>;
}

/** A server in the agent's network, written in the words of Node. */
async function serve(address: string, onConnection: string): Promise<Server> {
  const script = `const server = require('node:net').createServer({ allowHalfOpen: true }, ${onConnection});
    server.listen(0, '${address}', () => console.log(server.address().port));`;
  const enter = ['-t', String(agent.pid), '--net', process.execPath, '--eval', script];
  const server = spawn('nsenter', enter, { stdio: ['ignore', 'pipe', 'inherit'] });
  servers.push(server);
  const lines = createInterface(server.stdout);
  const printed = async (): Promise<string> => String((await once(lines, 'line'))[0]);
  return { port: Number(await printed()), process: server, printed };
}

async function join(line: string): Promise<Socket> {
  const socket = await agent.connect('loopback.sock');
  socket.write(line);
  return socket;
}

const ECHO = 'socket => socket.pipe(socket)';

test.each(['127.0.0.1', '::1'])('reach who listens at %s, both ways, with half-closes', async (address) => {
  const socket = await join(`${(await serve(address, ECHO)).port}\n`);

  socket.end('there and back');

  expect(await text(socket)).toBe('OK\nthere and back');
});

test('carry a lot to a reader that is slow to begin', async () => {
  const size = 8 * 1024 * 1024;
  const { port } = await serve('127.0.0.1', `socket => socket.end(Buffer.alloc(${size}, 'x'))`);
  const socket = await join(`${port}\n`);
  await once(socket, 'readable');

  expect(await text(socket)).toBe(`OK\n${'x'.repeat(size)}`);
});

test.each([
  ['that nobody listens at', '1\n'],
  ['that there is not', '65536\n'],
  ['of no number', '0x50\n'],
  ['that is missing', '\n'],
  ['of a line without end', '123456'],
])('to a port %s are closed', async (_, line) => {
  expect(await text(await join(line))).toBe('');
});

test('end when the server is gone', async () => {
  const server = await serve('127.0.0.1', '() => {}');
  const socket = await join(`${server.port}\n`);
  await once(socket, 'data');

  server.process.kill('SIGKILL');

  await once(socket, 'end');
  socket.destroy();
});

test('end for the server when the host is gone', async () => {
  const onConnection = "socket => socket.on('error', () => {}).on('close', () => console.log('gone')).pipe(socket)";
  const server = await serve('127.0.0.1', onConnection);
  const socket = await join(`${server.port}\n`);
  await once(socket, 'data');

  socket.destroy();

  expect(await server.printed()).toBe('gone');
});
