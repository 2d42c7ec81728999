// The loopback of a container's network namespace, with a guest that the test plays.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AGENT_LOOPBACK_PORT } from '../../src/protocol/agent-service.ts';
import { SandboxLoopback } from '../../src/runtime/sandbox-loopback.ts';
import { type Ended, ended } from './harness.ts';

const folder = mkdtempSync(join(tmpdir(), 'tskata-loopback-'));
const vsock = join(folder, 'vsock.sock');
/** A guest in which somebody listens on each port but this one, and says which port that was. */
const CLOSED_PORT = 81;
let guest: Server;
let holder: ChildProcess;

beforeAll(async () => {
  guest = createServer({ allowHalfOpen: true }, async (socket) => {
    socket.setEncoding('latin1');
    const next = async (): Promise<string> => String((await once(socket, 'data'))[0]);
    expect(await next()).toBe(`CONNECT ${AGENT_LOOPBACK_PORT}\n`);
    socket.write('OK 1\n');
    const port = await next();
    if (port === `${CLOSED_PORT}\n`) socket.end();
    else socket.write(`OK\nport ${port}`, () => socket.pipe(socket));
  }).listen(vsock);
  holder = spawn('unshare', ['--net', 'sh', '-c', 'ip link set lo up; echo ready; exec sleep 1000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout ?? holder, 'data');
});
afterAll(() => {
  guest.close();
  holder.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

const open = (): SandboxLoopback => new SandboxLoopback(`/proc/${holder.pid}/ns/net`, vsock);

/** What a program of the host in the network namespace gets. @param before its own words, run first */
function connect(address: string, port: number, before = ''): Promise<Ended> {
  const script = `${before}
    const socket = require('node:net').connect(${port}, '${address}');
    socket.on('error', ({ code }) => console.log(code)).on('close', () => process.exit());
    socket.on('data', (data) => process.stdout.write(data)).end('there and back\\n');`;
  const enter = ['-t', String(holder.pid), '--net', process.execPath, '--eval', script];
  return ended(spawn('nsenter', enter, { stdio: ['ignore', 'pipe', 'pipe'] }));
}

test.each([1, 80, 65_535])('port %d leads to that of the guest, both ways', async (port) => {
  using _ = open();

  expect(await connect('127.0.0.1', port)).toEqual({ status: 0, stdout: `port ${port}\nthere and back\n`, stderr: '' });
});

test('a port that nobody listens on in the guest is reset', async () => {
  using _ = open();

  expect((await connect('127.0.0.1', CLOSED_PORT)).stdout).toBe('ECONNRESET\n');
});

test('other addresses are left alone: who listens there gets what comes', async () => {
  using _ = open();
  const before = "require('node:net').createServer((socket) => socket.end('the host')).listen(53, '127.0.0.11');";

  expect((await connect('127.0.0.11', 53, before)).stdout).toBe('the host');
  expect((await connect('127.0.0.2', 80)).stdout).toBe('ECONNREFUSED\n');
});

test('nothing is left behind it', async () => {
  open()[Symbol.dispose]();

  expect((await connect('127.0.0.1', 80)).stdout).toBe('ECONNREFUSED\n');
});

test('a guest that is gone is as one in which nobody listens', async () => {
  using _ = new SandboxLoopback(`/proc/${holder.pid}/ns/net`, join(folder, 'nosuch'));

  expect((await connect('127.0.0.1', 80)).stdout).toBe('ECONNRESET\n');
});
