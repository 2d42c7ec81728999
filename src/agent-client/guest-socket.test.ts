import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectToGuest } from './guest-socket.ts';

let folder: string;
let path: string;
let server: Server | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tskata-guest-'));
  path = join(folder, 'vsock');
});
afterEach(() => {
  server?.close();
  rmSync(folder, { recursive: true });
});

/** A vsock whose guest answers like this. */
function answering(answer: (socket: Socket, line: string) => void): void {
  server = createServer((socket) => void socket.once('data', (line) => answer(socket, line.toString()))).listen(path);
}

test('what follows the answer belongs to the stream', async () => {
  answering((socket, line) => void socket.write(`OK 7\nhello from ${line}`));

  const socket = await connectToGuest(path, 1024);

  const [bytes] = await once(socket, 'data');
  expect(String(bytes)).toBe('hello from CONNECT 1024\n');
  socket.destroy();
});

test('a port that nobody listens on is refused', async () => {
  answering((socket) => void socket.end());

  await expect(connectToGuest(path, 1024)).rejects.toThrow('nobody in the guest listens on vsock port 1024');
});

test('an answer without end is refused', async () => {
  answering((socket) => void socket.write('x'.repeat(100)));

  await expect(connectToGuest(path, 1024)).rejects.toThrow('nobody in the guest listens');
});

test('a VM that is not there is an error', async () => {
  await expect(connectToGuest(path, 1024)).rejects.toThrow('ENOENT');
});
