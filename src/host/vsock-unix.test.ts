import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { GuestConnector, HostStream, HostStreamEvents } from '../devices/virtio/vsock/backend.ts';
import { VsockUnixHost } from './vsock-unix.ts';

let directory = '';
let path = '';
let host: VsockUnixHost;

/** A guest that accepts port 52 and refuses all others. */
class FakeGuest implements GuestConnector {
  readonly streams: HostStream[] = [];
  readonly told: string[] = [];

  connectToGuest(
    guestPort: number,
    stream: HostStream,
    answer: { accepted(hostPort: number): void; refused(reason: string): void },
  ): HostStreamEvents {
    if (guestPort === 52) {
      this.streams.push(stream);
      setImmediate(() => answer.accepted(1234));
    } else {
      setImmediate(() => answer.refused('no such port'));
    }
    return this.events();
  }

  events(): HostStreamEvents {
    return {
      opened: () => void this.told.push('opened'),
      readable: () => void this.told.push('readable'),
      failed: () => void this.told.push('failed'),
    };
  }
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vsock-'));
  path = join(directory, 'v.sock');
  host = new VsockUnixHost(path);
});

afterEach(() => {
  host[Symbol.dispose]();
  rmSync(directory, { recursive: true });
});

async function until(condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 5000; !condition(); await sleep(2)) {
    if (Date.now() > deadline) throw new Error('it did not happen within five seconds');
  }
}

/** All that the socket received until it was closed. */
function collect(socket: Socket): { text: string; isClosed: boolean; hasEnded: boolean } {
  const seen = { text: '', isClosed: false, hasEnded: false };
  socket.on('data', (chunk) => (seen.text += chunk.toString()));
  socket.on('end', () => (seen.hasEnded = true));
  socket.on('close', () => (seen.isClosed = true));
  socket.on('error', () => {});
  return seen;
}

describe('a host program that connects', () => {
  test('says CONNECT, is told OK and the port, and what it sent early is there for the guest', async () => {
    const guest = new FakeGuest();
    await host.listen(guest);
    const client = connect(path);
    const seen = collect(client);
    client.write('CONN');
    await sleep(5);
    client.write('ECT 52\nhello');
    await until(() => seen.text === 'OK 1234\n');
    await until(() => (guest.streams[0]?.readableLength ?? 0) === 5);
    expect(Buffer.from(guest.streams[0]?.read(3) ?? []).toString()).toBe('hel');
    expect(Buffer.from(guest.streams[0]?.read(99) ?? []).toString()).toBe('lo');
    guest.streams[0]?.write(Buffer.from('bye'), () => {});
    await until(() => seen.text === 'OK 1234\nbye');
  });

  test.each([
    ['a port that refuses', 'CONNECT 53\n'],
    ['a port beyond 32 bits', 'CONNECT 4294967296\n'],
    ['something else', 'HELLO\n'],
    ['a line without an end', 'CONNECT 00000000000000000000000000'],
  ])('with %s is disconnected', async (_, line) => {
    await host.listen(new FakeGuest());
    const client = connect(path);
    const seen = collect(client);
    client.write(line);
    await until(() => seen.isClosed);
    expect(seen.text).toBe('');
  });

  test('its half-close is the end of the stream once all was read, and the other half stays open', async () => {
    const guest = new FakeGuest();
    await host.listen(guest);
    const client = connect({ path, allowHalfOpen: true });
    const seen = collect(client);
    client.end('CONNECT 52\nall');
    await until(() => guest.streams[0]?.readableLength === 3);
    expect(guest.streams[0]?.ended).toBe(false);
    guest.streams[0]?.read(3);
    await until(() => guest.streams[0]?.ended === true);
    await new Promise<void>((resolve) => guest.streams[0]?.write(Buffer.from('late'), resolve));
    await new Promise<void>((resolve) => guest.streams[0]?.end(resolve));
    await until(() => seen.hasEnded);
    expect(seen.text).toBe('OK 1234\nlate');
  });

  test('that floods a guest which does not read is stopped by a full buffer', async () => {
    const guest = new FakeGuest();
    await host.listen(guest);
    const client = connect(path);
    collect(client);
    client.write('CONNECT 52\n');
    await until(() => guest.streams.length === 1);
    client.write(Buffer.alloc(8 * 1024 * 1024));
    await sleep(50);
    expect(guest.streams[0]?.readableLength).toBeLessThan(512 * 1024);
    expect(client.bytesWritten - client.writableLength).toBeLessThan(8 * 1024 * 1024);
  });

  test.each([
    ['', 'without a write'],
    ['last words', 'once what it has sent was read'],
  ])('that goes away after it has sent "%s" is told as a failure, %s', async (words) => {
    const guest = new FakeGuest();
    await host.listen(guest);
    const client = connect(path);
    const seen = collect(client);
    client.write('CONNECT 52\n');
    // Closed with the answer unread, the socket would be reset at once.
    await until(() => seen.text !== '');
    client.write(words, () => client.destroy());
    await until(() => guest.streams[0]?.readableLength === words.length);
    const received = guest.streams[0]?.read(99) ?? new Uint8Array();
    await until(() => guest.told.includes('failed'));

    expect(Buffer.from(received).toString()).toBe(words);
  });
});

describe('a guest that connects to the host', () => {
  test('arrives at the socket of the port', async () => {
    const guest = new FakeGuest();
    const server = createServer((socket) => socket.end('welcome')).listen(`${path}_1024`);
    await until(() => server.listening);
    const stream = host.connect(1024, guest.events());
    await until(() => guest.told.includes('opened') && stream.readableLength === 7);
    expect(Buffer.from(stream.read(99)).toString()).toBe('welcome');
    stream.destroy();
    server.close();
  });

  test('fails where nobody listens', async () => {
    const guest = new FakeGuest();
    host.connect(1025, guest.events());
    await until(() => guest.told.includes('failed'));
    expect(guest.told).toEqual(['failed']);
  });
});

test('disposing closes connections and removes the socket', async () => {
  await host.listen(new FakeGuest());
  const seen = collect(connect(path));
  await until(() => existsSync(path));
  host[Symbol.dispose]();
  await until(() => seen.isClosed);
  expect(readdirSync(directory)).toEqual([]);
});

test('a socket that a killed VM left is replaced; what is no socket is left alone', async () => {
  const dead = spawnSync(process.execPath, [
    '-e',
    `require('node:net').createServer().listen('${path}', () => process.kill(process.pid, 'SIGKILL'))`,
  ]);
  expect({ signal: dead.signal, left: existsSync(path) }).toEqual({ signal: 'SIGKILL', left: true });
  await host.listen(new FakeGuest());
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const file = join(directory, 'file');
  writeFileSync(file, 'precious');
  await expect(new VsockUnixHost(file).listen(new FakeGuest())).rejects.toMatchObject({ code: 'NOT_A_SOCKET' });
  expect(readFileSync(file, 'utf8')).toBe('precious');
});

test('a path in use, and one too long, are refused with the reason', async () => {
  await host.listen(new FakeGuest());
  await expect(new VsockUnixHost(path).listen(new FakeGuest())).rejects.toMatchObject({ code: 'IN_USE' });
  expect(() => new VsockUnixHost(`/${'x'.repeat(100)}`)).toThrow('is too long: use one of at most 96 bytes');
});
