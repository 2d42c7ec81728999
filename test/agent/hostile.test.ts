// Malformed input costs the connection that it comes on, and nothing else.
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { encodeFrame, MessageType } from '../../src/protocol/frame.ts';
import { closing, collect, config, newToken, stdioRequest, TestAgent, uniqueId } from './harness.ts';

let agent: TestAgent;
beforeAll(async () => {
  agent = await TestAgent.start();
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});
afterEach(async () => {
  expect((await agent.call('GuestDetails', {})).onlineCpus).toBeGreaterThan(0);
});

async function closedBy(name: 'agent.sock' | 'stdio.sock', bytes: Uint8Array | string): Promise<void> {
  const socket = await agent.connect(name);
  socket.write(bytes);
  await closing(socket);
}

const header = (length: number, streamId: number, type: number): Uint8Array => {
  const bytes = new Uint8Array(10);
  new DataView(bytes.buffer).setUint32(0, length);
  new DataView(bytes.buffer).setUint32(4, streamId);
  bytes[8] = type;
  return bytes;
};

describe("on the agent's own port", () => {
  test.each([
    ['a length above the limit', header(4 * 1024 * 1024 + 1, 1, 1)],
    ['the largest length there is', header(0xffff_ffff, 1, 1)],
    ['a response', header(0, 1, 2)],
    ['a type that nobody knows', header(0, 1, 77)],
    ['plain text', 'GET / HTTP/1.1\r\n\r\n'],
  ])('%s ends the connection', async (_what, bytes) => {
    await closedBy('agent.sock', bytes);
  });

  test('an even stream is answered with a status', async () => {
    const socket = await agent.connect('agent.sock');
    socket.write(header(0, 2, 1));
    const [answer] = await once(socket, 'data');
    socket.destroy();
    expect(answer.toString('latin1')).toContain('odd numbers');
  });

  test('an envelope that is none is answered with a status', async () => {
    const socket = await agent.connect('agent.sock');
    socket.write(encodeFrame(1, MessageType.REQUEST, new Uint8Array(100).fill(0xff)));
    const [answer] = await once(socket, 'data');
    socket.destroy();
    expect(answer.toString('latin1')).toContain('cannot be decoded');
  });

  test('a frame that never ends holds little memory', async () => {
    const socket = await agent.connect('agent.sock');
    socket.write(header(4 * 1024 * 1024, 1, 1));
    await delay(50);
    const { agentResidentBytes } = await agent.call('GuestDetails', {});
    expect(agentResidentBytes).toBeLessThan(3n * 1024n * 1024n);
    socket.destroy();
  });
});

describe("on the streams' port", () => {
  test.each([
    ['a token that nobody gave out', `${newToken()} stdout\n`],
    ['an empty line', '\n'],
    ['no line feed within the limit', 'a'.repeat(500)],
    ['no name', `${newToken()}\n`],
    ['binary', new Uint8Array(300)],
  ])('%s ends the connection', async (_what, bytes) => {
    await closedBy('stdio.sock', bytes);
  });

  test('a stream is given out once, and only those that were asked for', async () => {
    const containerId = uniqueId();
    const stdio = stdioRequest({ stderr: false });
    await agent.create(containerId, config(['sh', '-c', 'echo mine']), stdio);
    const first = collect(await agent.stream(stdio, 'stdout'));
    await delay(50);
    await closedBy('stdio.sock', `${stdio.token} stdout\n`);
    await closedBy('stdio.sock', `${stdio.token} stderr\n`);
    await closedBy('stdio.sock', `${stdio.token} __proto__\n`);
    await agent.call('StartContainer', { containerId });
    expect(String(await first)).toBe('mine\n');
    await agent.call('DeleteContainer', { containerId, force: true });
  });

  test('a token must be long, hexadecimal and new', async () => {
    const stdio = stdioRequest();
    await expect(agent.create(uniqueId(), config(['true']), { ...stdio, token: 'abc' })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    const containerId = uniqueId();
    await agent.create(containerId, config(['true']), stdio);
    await expect(agent.create(uniqueId(), config(['true']), stdio)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await agent.call('DeleteContainer', { containerId, force: true });
  });

  test('hundreds of silent connections keep nobody out for good', async () => {
    const silent = [];
    for (let index = 0; index < 200; index++) {
      const socket = await agent.connect('stdio.sock');
      // Above its limit of such connections the agent closes them at once.
      socket.on('error', () => {});
      silent.push(socket);
      await delay(1);
    }
    await delay(100);
    for (const socket of silent) socket.destroy();
    await delay(100);
    expect((await agent.shell('echo in')).stdout).toBe('in\n');
  });
});
