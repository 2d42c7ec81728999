// vsock between programs of a guest and programs of its host, both ways. The guest's side is in programs/vsock.py.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KIB, MIB } from '../../src/lib/units.ts';
import { type Checks, startToolsGuest, TOOLS_GUEST_TIMEOUT_MS, type ToolsGuest } from './tools-guest.ts';
import { useGuestFiles } from './tsvm-harness.ts';

const files = useGuestFiles();
const SINK = 7000;
const SOURCE = 7001;
const ECHO = 7002;
const MORTAL = 7003;
const LAZY = 7004;
const SIZE = 7005;
const LISTENING = 8000;
const NOT_LISTENING = 8001;
const CHUNK_SIZE = 256 * KIB;
/** Of each direction. On an emulated host that takes more than a minute each: TSVM_TEST_TRANSFER_MIB=32 is for the impatient. */
const TRANSFER_SIZE = Number(process.env['TSVM_TEST_TRANSFER_MIB'] ?? 1024) * MIB;
const MS_PER_MIB = 1000;
const TIMEOUT_MS = TOOLS_GUEST_TIMEOUT_MS + (TRANSFER_SIZE / MIB) * MS_PER_MIB;

const servers: Server[] = [];
const children: ChildProcess[] = [];

async function listen(path: string, onConnection: (socket: Socket) => void): Promise<void> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    onConnection(socket);
  });
  servers.push(server);
  await once(server.listen(path), 'listening');
}

/** Answers with the length and the checksum of all that came. */
function answerWithChecksum(socket: Socket): void {
  let length = 0;
  let checksum = 0;
  socket.on('data', (chunk: Buffer) => {
    length += chunk.length;
    checksum = crc32(chunk, checksum);
  });
  socket.on('end', () => socket.end(`${length} ${checksum}`));
}

/** Sends as much as it is asked for, and says whether the checksum that comes back is right. */
async function sendWhatIsAsked(socket: Socket): Promise<void> {
  const asked = await read(socket, 8);
  const chunk = Buffer.alloc(CHUNK_SIZE, 'between host and guest ');
  let checksum = 0;
  for (let index = 0; index < Number(asked.readBigUInt64LE()) / CHUNK_SIZE; index++) {
    chunk.writeUInt32LE(index);
    checksum = crc32(chunk, checksum);
    if (!socket.write(Buffer.from(chunk))) await once(socket, 'drain');
  }
  const answer = await read(socket, 4);
  socket.end(answer.readUInt32LE() === checksum ? 'right' : 'wrong');
}

async function read(socket: Socket, length: number): Promise<Buffer> {
  for (;;) {
    const bytes: Buffer | null = socket.read(length);
    if (bytes !== null) return bytes;
    await once(socket, 'readable');
  }
}

/** A host program of its own that greets whoever connects. */
async function startMortal(path: string): Promise<ChildProcess> {
  const program = `require('net').createServer((s) => { s.on('error', () => {}); s.write('hello'); })
    .listen(process.argv[1], () => console.log('listening'))`;
  const child = spawn(process.execPath, ['-e', program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout, 'data');
  return child;
}

/** Connects to a port of the guest by the convention of the socket, and gives what is answered to `text`. */
async function askGuest(path: string, port: number, text: string): Promise<string> {
  const socket = connect({ path, allowHalfOpen: true });
  socket.on('error', () => socket.destroy());
  socket.write(`CONNECT ${port}\n`);
  socket.end(text);
  let answer = '';
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString();
  });
  await once(socket, 'close');
  return answer;
}

describe('vsock', () => {
  let checks: Checks = new Map();
  let answers: string[] = [];
  let refusal: string | undefined;

  async function helpGuest(guest: ToolsGuest, path: string, mortal: ChildProcess, lazy: Socket[]): Promise<void> {
    await guest.said("READY for the host's program to die");
    mortal.kill('SIGKILL');
    await guest.said('READY for the host to read');
    for (const socket of lazy) answerWithChecksum(socket);
    await guest.said('READY for connections of the host');
    refusal = await askGuest(path, NOT_LISTENING, 'anybody?');
    const texts = Array.from({ length: 50 }, (_, index) => `question ${index} `.repeat(500));
    answers = await Promise.all(texts.map((text) => askGuest(path, LISTENING, text)));
  }

  beforeAll(async () => {
    const path = files.path('v.sock');
    const lazy: Socket[] = [];
    await listen(`${path}_${SIZE}`, (socket) => void socket.end(String(TRANSFER_SIZE)));
    await listen(`${path}_${SINK}`, answerWithChecksum);
    await listen(`${path}_${SOURCE}`, (socket) => void sendWhatIsAsked(socket));
    await listen(`${path}_${ECHO}`, (socket) => void socket.pipe(socket));
    await listen(`${path}_${LAZY}`, (socket) => void lazy.push(socket));
    const mortal = await startMortal(`${path}_${MORTAL}`);
    const guest = startToolsGuest(files, 'vsock.py', '--vsock', `3=${path}`, '--timeout', String(TIMEOUT_MS / 1000));
    await helpGuest(guest, path, mortal, lazy);
    checks = await guest.checks;
  }, TIMEOUT_MS);

  afterAll(() => {
    for (const server of servers) server.close();
    for (const child of children) child.kill('SIGKILL');
  });

  test.each([
    'a large transfer to the host arrives whole',
    'a large transfer from the host arrives whole',
    '200 connections at once, each half-closed, are apart',
    'a port that nobody has is refused',
    "the death of the host's program ends its connections",
    'a host that does not read holds the guest back, and loses nothing',
    "connections of the host reach the guest's programs",
  ])('%s', (name) => {
    expect(checks.get(name)).toBe('ok');
  });

  test('a host program is told of its port, and gets its own answer', () => {
    const expected = Array.from({ length: 50 }, (_, index) => [...`question ${index} `.repeat(500)].reverse().join(''));

    expect(answers.map((answer) => answer.replace(/^OK \d+\n/, ''))).toEqual(expected);
    expect(answers.every((answer) => /^OK \d+\n/.test(answer))).toBe(true);
  });

  test('a port of the guest that nobody listens on is refused', () => {
    expect(refusal).toBe('');
  });
});
