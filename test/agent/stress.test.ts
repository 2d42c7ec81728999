// Too much of everything: the agent's memory stays bounded, and it answers who asks meanwhile.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildAgent } from '../../guest-agent/build.ts';
import { nodeTimers, socketStream } from '../../src/agent-client/socket-stream.ts';
import { agentService } from '../../src/protocol/agent-service.ts';
import { TtrpcClient } from '../../src/protocol/client.ts';
import { encodeFrame, HEADER_LENGTH, MESSAGE_LENGTH_MAX, MessageType } from '../../src/protocol/frame.ts';
import { Request } from '../../src/protocol/ttrpc.gen.ts';
import { collect, config, newToken, stdioRequest, TestAgent, uniqueId } from './harness.ts';

const MEBIBYTE = 1024 * 1024;

let agent: TestAgent;
let pid: number;
beforeEach(async () => {
  agent = await TestAgent.start();
  pid = Number(readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8'));
});
afterEach(async () => {
  await agent[Symbol.asyncDispose]();
});

/** The most that was ever resident, MiB. */
function peakMib(): number {
  const peak = Number(/VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
  process.stdout.write(`${expect.getState().currentTestName}: at most ${peak.toFixed(1)} MiB resident\n`);
  return peak;
}

async function expectAnswers(): Promise<void> {
  expect((await agent.call('GuestDetails', {})).onlineCpus).toBeGreaterThan(0);
}

async function started(args: readonly string[]): Promise<string> {
  const containerId = uniqueId();
  await agent.create(containerId, config(args), stdioRequest({ stdout: false, stderr: false }));
  await agent.call('StartContainer', { containerId });
  return containerId;
}

/** A connection that is not read, and whose end by the other side is no error here. */
async function deafConnection(): Promise<Socket> {
  const socket = await agent.connect('agent.sock');
  socket.on('error', () => {});
  socket.pause();
  return socket;
}

describe('calls', () => {
  test('whose frames are huge, on many connections, are ended before they take too much', async () => {
    const huge = encodeFrame(1, MessageType.REQUEST, new Uint8Array(MESSAGE_LENGTH_MAX)).subarray(0, -1);
    const sockets = await Promise.all(Array.from({ length: 40 }, deafConnection));
    for (const socket of sockets) socket.write(huge);
    await expect.poll(() => agent.log, { timeout: 20_000 }).toContain('no room for');
    await expectAnswers();
    for (const socket of sockets) socket.destroy();
    // Three whole frames, and one that grows: its old and its new memory.
    expect(peakMib()).toBeLessThan(24);
    const container = await agent.shell('echo fine');
    expect(container.stdout).toBe('fine\n');
  });

  test('that wait, by the thousand, are all answered', async () => {
    const containerId = await started(['sleep', '1000']);
    const clients = await Promise.all(
      [1, 2, 3].map(async () => new TtrpcClient(socketStream(await agent.connect('agent.sock')), nodeTimers)),
    );
    const waits = clients.flatMap((client) =>
      Array.from({ length: 900 }, () => client.call(agentService, 'WaitProcess', { containerId, processId: '' })),
    );
    await expectAnswers();
    await agent.call('SignalProcess', { containerId, processId: '', signal: 9, all: false });
    const answers = await Promise.all(waits);
    for (const client of clients) client.close();
    expect(answers.filter(({ signal }) => signal === 9)).toHaveLength(2700);
    expect(peakMib()).toBeLessThan(20);
  });

  test('that wait on connections that vanish are forgotten, and count no more', async () => {
    const containerId = await started(['sleep', '1000']);
    const waitOn = async (count: number) => {
      const client = new TtrpcClient(socketStream(await agent.connect('agent.sock')), nodeTimers);
      const request = { containerId, processId: '' };
      const waits = Array.from({ length: count }, () => client.call(agentService, 'WaitProcess', request));
      const answers = Promise.allSettled(waits);
      // Answered when those before it have been taken.
      await client.call(agentService, 'GuestDetails', {});
      return { client, answers };
    };
    // All together many times of what there may be at once.
    for (let index = 0; index < 100; index++) {
      const { client } = await waitOn(100);
      client.close();
    }
    const last = await waitOn(1000);
    await agent.call('SignalProcess', { containerId, processId: '', signal: 9, all: false });
    const answers = await last.answers;
    last.client.close();

    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1000);
    expect(peakMib()).toBeLessThan(20);
  });

  test('of a peer that asks without end and reads no answer stop being read', async () => {
    const socket = await deafConnection();
    const envelope = { service: agentService.name, method: 'GuestDetails', timeoutNano: 0n, metadata: [] };
    const payload = Request.encode({ ...envelope, payload: new Uint8Array(0) });
    const writeMany = (first: number): boolean => {
      const frames = Array.from({ length: 1000 }, (_, index) => encodeFrame(2 * (first + index) + 1, 1, payload));
      return socket.write(Buffer.concat(frames));
    };
    for (let first = 0; first < 100_000; first += 1000) writeMany(first);
    await delay(500);
    await expectAnswers();
    expect(socket.writableLength).toBeGreaterThan(MEBIBYTE);
    socket.destroy();
    expect(peakMib()).toBeLessThan(12);
  });

  test('that are refused at length, to a peer that reads no answer, hold little', async () => {
    const socket = await deafConnection();
    const method = 'x'.repeat(60_000);
    const payload = Request.encode({
      service: '',
      method,
      payload: new Uint8Array(0),
      timeoutNano: 0n,
      metadata: [],
    });
    for (let index = 0; index < 500; index++) socket.write(encodeFrame(2 * index + 1, MessageType.REQUEST, payload));
    await delay(500);
    await expectAnswers();
    socket.destroy();
    expect(peakMib()).toBeLessThan(8);
  });

  test('on more connections than there may be are refused, and those that were there are not', async () => {
    const sockets = await Promise.all(Array.from({ length: 100 }, deafConnection));
    await expect.poll(() => agent.log).toContain('refused a connection');
    await expectAnswers();
    for (const socket of sockets) socket.destroy();
    expect(peakMib()).toBeLessThan(4);
  });

  test('with a configuration that needs more memory than there is fail, and others do not', async () => {
    const env = Array.from({ length: 900_000 }, () => '=');
    const document = config(['true'], { process: { env } });
    expect(JSON.stringify(document).length).toBeLessThan(MESSAGE_LENGTH_MAX - 2 * HEADER_LENGTH);
    await expect(agent.create(uniqueId(), document)).rejects.toThrow();
    const many = Array.from({ length: 3 }, () => agent.create(uniqueId(), document).catch((error: Error) => error));
    for (const outcome of await Promise.all(many)) expect(outcome).toBeInstanceOf(Error);
    await expectAnswers();
    expect((await agent.shell('echo fine')).stdout).toBe('fine\n');
    expect(peakMib()).toBeLessThan(80);
  });
});

describe('output', () => {
  test('without end that nobody reads holds little, on a hundred streams and terminals', async () => {
    const containerId = await started(['sleep', '1000']);
    const sockets: Socket[] = [];
    for (let index = 0; index < 100; index++) {
      const terminal = index % 2 === 0;
      const stdio = stdioRequest({ terminal, stderr: false });
      const ociProcessJson = JSON.stringify(config(['yes'], { process: { terminal } }).process);
      const processId = `yes-${index}`;
      await agent.call('ExecProcess', { containerId, processId, ociProcessJson, stdio, ignorePaused: false });
      const socket = await agent.stream(stdio, terminal ? 'terminal' : 'stdout');
      socket.on('error', () => {});
      socket.pause();
      sockets.push(socket);
    }
    await delay(1000);
    await expectAnswers();
    // A stalled stream holds the rest of one piece, at most 32 KiB.
    expect(peakMib()).toBeLessThan(8);
    for (const socket of sockets) socket.destroy();
    await agent.call('DeleteContainer', { containerId, force: true });
  });

  test('of programs that nobody has connected to holds nothing', async () => {
    const ids = [];
    for (let index = 0; index < 5; index++) {
      const containerId = uniqueId();
      await agent.create(containerId, config(['yes']), { ...stdioRequest(), token: newToken() });
      await agent.call('StartContainer', { containerId });
      ids.push(containerId);
    }
    await delay(300);
    await expectAnswers();
    expect(peakMib()).toBeLessThan(4);
    for (const containerId of ids) await agent.call('DeleteContainer', { containerId, force: true });
  });
});

describe('a full disk', () => {
  test('fails a container that needs room, with the reason, and nothing else', async () => {
    const rootfs = agent.makeRootfs();
    mkdirSync(join(rootfs, 'full'));
    const inAgent = (...args: string[]) => execFileSync('nsenter', ['-t', String(pid), '-m', ...args]);
    inAgent('mount', '-t', 'tmpfs', '-o', 'size=4k,nr_inodes=1', 'none', join(rootfs, 'full'));
    const mounts = [{ destination: '/full/there/is/no/room', type: 'tmpfs', source: 'tmpfs' }];
    await expect(agent.create(uniqueId(), config(['true'], { mounts }), stdioRequest(), rootfs)).rejects.toThrow(
      'no space left on device',
    );
    expect((await agent.shell('echo fine')).stdout).toBe('fine\n');
  });

  test('is told to the program that fills it, and to nobody else', async () => {
    const { stderr } = await agent.shell('dd if=/dev/zero of=/dev/shm/big bs=1M count=20; exit 0', {
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['size=64k'] },
        { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['size=1m'] },
      ],
    });
    expect(stderr).toContain('No space left on device');
    await expectAnswers();
  });
});

describe('memory that the kernel refuses', () => {
  test('costs the calls that need it, and not the agent', async () => {
    const size = Number(/VmSize:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
    execFileSync('prlimit', ['--pid', String(pid), `--as=${size + 2 * MEBIBYTE}`]);
    const sockets = await Promise.all(Array.from({ length: 4 }, deafConnection));
    for (const socket of sockets) {
      socket.write(encodeFrame(1, MessageType.REQUEST, new Uint8Array(MESSAGE_LENGTH_MAX)));
    }
    await expect.poll(() => agent.log).toContain('out of memory');
    await expectAnswers();
    for (const socket of sockets) socket.destroy();
    expect((await agent.shell('echo fine')).stdout).toBe('fine\n');
  });
});

describe('a fatal error', () => {
  test.each([
    ['an argument that means nothing', ['--bogus'], /^tskata-agent: fatal: Error: usage: agent/],
    [
      'a place where it cannot listen',
      ['--listen-unix', '/proc/no'],
      /^tskata-agent: fatal: SystemError: bind \/proc\/no/m,
    ],
  ])('is told on the console before the agent ends: %s', async (_what, args, text) => {
    const prepared = 'mount -t proc proc /proc && mount -t cgroup2 none /sys/fs/cgroup && exec "$0" "$@"';
    const inNamespaces = ['--mount', '--pid', '--fork', 'sh', '-c', prepared, await buildAgent()];
    const child = spawn('unshare', [...inNamespaces, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const ended = once(child, 'exit');
    const printed = await collect(child.stderr as unknown as Socket);
    expect(String(printed)).toMatch(text);
    expect(await ended).toEqual([1, null]);
  });
});
