import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { vring_used } from '../devices/virtio/abi.gen.ts';
import { FsDevice } from '../devices/virtio/fs/device.ts';
import { MockMachine } from '../devices/virtio/testing/mock-driver.ts';
import { EventFd } from '../ffi/eventfd.unsafe.ts';
import { VhostUserFrontEnd, type VhostUserSocketOptions } from './vhost-user.ts';
import { VhostUserError, type VhostUserErrorCode } from './vhost-user-error.ts';
import { checkReplyHeader, encodeMemoryTable, encodeMessage, encodeRingAddresses } from './vhost-user-message.ts';

/**
 * A back end on a thread of its own, because the front end blocks while it waits. It answers every request that wants an
 * answer with 8 bytes, from `answers` or else zero, and changes the header of answers as `fault` says.
 */
const BACK_END = `
const { createServer } = require('node:net');
const { parentPort, workerData: { path, answers, fault } } = require('node:worker_threads');
createServer((socket) => {
  // A front end that refuses an answer leaves at once.
  socket.on('error', () => {});
  let received = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 12 && received.length >= 12 + received.readUInt32LE(8)) {
      const request = received.readUInt32LE(0);
      const needsReply = (received.readUInt32LE(4) & 8) !== 0;
      received = received.subarray(12 + received.readUInt32LE(8));
      if (![1, 11, 15, 17].includes(request) && !needsReply) continue;
      if (fault === 'silence') continue;
      if (fault === 'close') return socket.end();
      const reply = Buffer.alloc(20);
      reply.writeUInt32LE(fault === 'request' ? 99 : request, 0);
      reply.writeUInt32LE(fault === 'flags' ? 1 : 5, 4);
      reply.writeUInt32LE(fault === 'size' ? 4 : 8, 8);
      reply.writeBigUInt64LE(BigInt(answers[request] ?? 0), 12);
      socket.write(reply);
    }
  });
}).listen(path, () => parentPort.postMessage('listening'));
`;

const GET_FEATURES = 1;
const SET_OWNER = 3;
const GET_VRING_BASE = 11;
const GET_PROTOCOL_FEATURES = 15;
const GET_QUEUE_NUM = 17;
/** VIRTIO_F_VERSION_1 and the bit of the protocol's own features. */
const FEATURES = '0x140000000';
const MQ_AND_REPLY_ACK = 0b1001;

let stack: DisposableStack;
let directory = '';
let worker: Worker | undefined;

beforeEach(() => {
  stack = new DisposableStack();
  directory = mkdtempSync(join(tmpdir(), 'vhost-user-'));
});

afterEach(async () => {
  stack.dispose();
  await worker?.terminate();
  worker = undefined;
  rmSync(directory, { recursive: true });
});

async function backEnd(
  answers: Record<number, number | string | bigint>,
  fault?: string,
): Promise<VhostUserSocketOptions> {
  const path = join(directory, 'back-end.sock');
  const started = new Worker(BACK_END, { eval: true, workerData: { path, answers, fault } });
  worker = started;
  await new Promise((resolve) => started.once('message', resolve));
  return { path, memory: [], queueCount: 2, timeoutMs: 200 };
}

/** A socket as it is between bind(2) and listen(2): it is there, and refuses. */
async function makeDeafSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.first`, resolve));
  renameSync(`${path}.first`, path);
  await new Promise((resolve) => server.close(resolve));
}

async function codeOf(options: VhostUserSocketOptions): Promise<VhostUserErrorCode | undefined> {
  try {
    (await VhostUserFrontEnd.connect(options))[Symbol.dispose]();
  } catch (error) {
    if (error instanceof VhostUserError) return error.code;
    throw error;
  }
  return undefined;
}

describe('the front end', () => {
  test('shows the features of the back end without those of the protocol', async () => {
    const options = await backEnd({
      [GET_FEATURES]: FEATURES,
      [GET_PROTOCOL_FEATURES]: MQ_AND_REPLY_ACK,
      [GET_QUEUE_NUM]: 2,
    });
    using frontEnd = await VhostUserFrontEnd.connect(options);
    expect(frontEnd.features).toBe(1n << 32n);
  });

  test('waits for a back end that has made its socket and does not listen yet', async () => {
    const options = await backEnd({ [GET_FEATURES]: '0x100000000' });
    const path = join(directory, 'early.sock');
    await makeDeafSocket(path);
    const rename = `
      const { parentPort, workerData } = require('node:worker_threads');
      parentPort.postMessage('started');
      setTimeout(() => require('node:fs').renameSync(...workerData), 10);
    `;
    const later = new Worker(rename, { eval: true, workerData: [options.path, path] });
    await new Promise((resolve) => later.once('message', resolve));
    expect(await codeOf({ ...options, path })).toBeUndefined();
    await later.terminate();
  });

  test('gives up on a socket that nobody listens on', async () => {
    const path = join(directory, 'deaf.sock');
    await makeDeafSocket(path);
    expect(await codeOf({ path, memory: [], queueCount: 1 })).toBe('DISCONNECTED');
  });

  test('does without protocol features where there are none', async () => {
    expect(await codeOf(await backEnd({ [GET_FEATURES]: '0x100000000' }))).toBeUndefined();
  });

  test('refuses a back end that serves fewer queues than the device has', async () => {
    const answers = {
      [GET_FEATURES]: FEATURES,
      [GET_PROTOCOL_FEATURES]: MQ_AND_REPLY_ACK,
      [GET_QUEUE_NUM]: 1,
    };
    expect(await codeOf(await backEnd(answers))).toBe('UNSUPPORTED');
  });

  test('refuses an answer that says that the request failed', async () => {
    const answers = {
      [GET_FEATURES]: FEATURES,
      [GET_PROTOCOL_FEATURES]: MQ_AND_REPLY_ACK,
      [GET_QUEUE_NUM]: 2,
      [SET_OWNER]: 1,
    };
    expect(await codeOf(await backEnd(answers))).toBe('PROTOCOL');
  });

  test.each([
    ['to another request', 'request', 'PROTOCOL'],
    ['that is no reply', 'flags', 'PROTOCOL'],
    ['of another size', 'size', 'PROTOCOL'],
    ['that never comes', 'silence', 'DISCONNECTED'],
    ['of a closed socket', 'close', 'DISCONNECTED'],
  ])('refuses an answer %s', async (_, fault, code) => {
    expect(await codeOf(await backEnd({ [GET_FEATURES]: FEATURES }, fault))).toBe(code);
  });

  test('refuses memory of more regions than every back end takes', async () => {
    const options = await backEnd({ [GET_FEATURES]: FEATURES });
    const region = { guestAddress: 0, size: 4096, fdOffset: 0, fd: 0 as never };
    expect(await codeOf({ ...options, memory: Array(9).fill(region) })).toBe('UNSUPPORTED');
  });
});

describe('rings', () => {
  /** A back end that says of each ring that it has taken one chain, and does nothing. */
  async function machineOfTakenChain() {
    const frontEnd = await VhostUserFrontEnd.connect(
      await backEnd({ [GET_FEATURES]: FEATURES, [GET_VRING_BASE]: 1n << 32n }),
    );
    stack.use(frontEnd);
    const bell = stack.use(new EventFd());
    const device = new FsDevice({ tag: 'x', backend: frontEnd });
    const mock = new MockMachine(device, { eventFds: () => ({ kick: bell.fd, call: bell.fd }) });
    mock.driver.start({ queueSize: 16 });
    const rings = [0, 1].map((queue) => mock.driver.queue(queue).usedRing);
    /** The back end returns the chain of each ring, as the driver sees it. */
    const giveBack = (): void => {
      for (const ring of rings) mock.memory.writeU16(ring + vring_used.idx, 1);
    };
    return { frontEnd, mock, giveBack };
  }

  test('are at rest once all that was taken has come back', async () => {
    const { mock, giveBack } = await machineOfTakenChain();
    let isAtRest = false;
    const rest = mock.transport.quiesce().then(() => {
      isAtRest = true;
    });
    await sleep(20);
    expect(isAtRest).toBe(false);
    giveBack();
    await rest;
    mock.transport.resume();
    expect(mock.interrupts).toBe(2);
  });

  test('of a driver that resets the device are idle once all has come back', async () => {
    const { frontEnd, mock, giveBack } = await machineOfTakenChain();
    mock.driver.reset();
    let isIdle = false;
    const idle = frontEnd.idle()?.then(() => {
      isIdle = true;
    });
    await sleep(20);
    expect(isIdle).toBe(false);
    giveBack();
    await idle;
    expect(frontEnd.idle()).toBeUndefined();
  });

  test('of a back end that has gone wait for nothing', async () => {
    const { frontEnd, mock } = await machineOfTakenChain();
    mock.driver.reset();
    const idle = frontEnd.idle();
    frontEnd[Symbol.dispose]();
    await idle;
    expect(frontEnd.idle()).toBeUndefined();
  });
});

describe('messages', () => {
  test('begin with request, flags and size', () => {
    expect(encodeMessage('SET_OWNER', Uint8Array.of(7), true)).toEqual(
      Uint8Array.of(3, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 7),
    );
  });

  test('name memory by guest address, as the front end address too', () => {
    const table = encodeMemoryTable([{ guestAddress: 0x1_0000_0000, size: 0x2000, fdOffset: 0x3000 }]);
    expect([...new BigUint64Array(table.buffer)]).toEqual([1n, 0x1_0000_0000n, 0x2000n, 0x1_0000_0000n, 0x3000n]);
  });

  test('put the used ring before the available ring', () => {
    const addresses = encodeRingAddresses(3, { descriptorTable: 0x1000, availableRing: 0x2000, usedRing: 0x3000 });
    expect([...new BigUint64Array(addresses.buffer)]).toEqual([3n, 0x1000n, 0x3000n, 0x2000n, 0n]);
  });

  test('an answer is checked for request, version, reply flag and size', () => {
    const header = (...words: number[]) => new Uint8Array(new Uint32Array(words).buffer);
    expect(checkReplyHeader('GET_FEATURES', header(1, 5, 8), 8)).toBeUndefined();
    expect(checkReplyHeader('GET_FEATURES', header(2, 5, 8), 8)).toContain('request 2');
    expect(checkReplyHeader('GET_FEATURES', header(1, 6, 8), 8)).toContain('flags');
    expect(checkReplyHeader('GET_FEATURES', header(1, 5, 9), 8)).toContain('9 bytes');
  });
});
