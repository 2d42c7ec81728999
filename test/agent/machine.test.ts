// The machine as a whole: clock, randomness, processors and memory that arrive, and what the guest tells of itself.
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestAgent } from './harness.ts';

let agent: TestAgent;
beforeAll(async () => {
  agent = await TestAgent.start();
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});

const SECOND = 1_000_000_000n;

describe('the clock', () => {
  test.each([0n, 1n, 31_000_000n * SECOND, BigInt(Date.now()), 8_000_000_000n * SECOND, 2n ** 64n - 1n])(
    'is not set to %s ns',
    async (realtimeNs) => {
      await expect(agent.call('SetTime', { realtimeNs })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: `${realtimeNs} ns since 1970 is no time of today: give the wall clock in nanoseconds`,
      });
    },
  );

  test('is set to a time of today', async () => {
    await agent.call('SetTime', { realtimeNs: BigInt(Date.now()) * 1_000_000n });
  });
});

test('4096 bytes of entropy are taken at once, and no more', async () => {
  await agent.call('AddEntropy', { entropy: new Uint8Array(4096) });

  await expect(agent.call('AddEntropy', { entropy: new Uint8Array(4097) })).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: '4097 bytes of entropy: at most 4096 at once',
  });
});

describe('processors and memory', () => {
  /** The machine's folders of devices, as a kernel with hot-plug would show them. */
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(agent.directory, 'devices-'));
    agent.runInside('mount', '--bind', folder, '/sys/devices/system');
  });
  const write = (path: string, text: string): void => {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  const read = (path: string): string => readFileSync(join(folder, path), 'utf8').trim();
  const processors = ['cpu2', 'cpu10', 'cpu3'];
  const online = (): string[] => processors.map((name) => read(`cpu/${name}/online`));
  const reset = (): void => {
    mkdirSync(join(folder, 'cpu/cpu0'), { recursive: true });
    mkdirSync(join(folder, 'cpu/cpufreq'), { recursive: true });
    write('cpu/cpu1/online', '1\n');
    for (const name of processors) write(`cpu/${name}/online`, '0\n');
    write('memory/memory0/state', 'online\n');
    write('memory/memory1/state', 'offline\n');
  };

  test('are taken into use in the order of their numbers, as many as are wanted', async () => {
    reset();
    const { cpusOnline } = await agent.call('OnlineResources', { cpus: 4, memory: false });

    expect(cpusOnline).toBe(4);
    expect(online()).toEqual(['1', '0', '1']);
    expect(read('memory/memory1/state')).toBe('offline');
  });

  test('are taken out of use from the highest number on, all but the first', async () => {
    reset();
    await agent.call('OnlineResources', { cpus: 0, memory: false });
    const { cpusOnline } = await agent.call('OnlineResources', { cpus: 3, memory: false });

    expect(cpusOnline).toBe(3);
    expect(online()).toEqual(['1', '0', '0']);
    expect((await agent.call('OnlineResources', { cpus: 1, memory: false })).cpusOnline).toBe(1);
    expect(read('cpu/cpu1/online')).toBe('0');
  });

  test('stay as they are when there are as many as are wanted', async () => {
    reset();
    const { cpusOnline } = await agent.call('OnlineResources', { cpus: 2, memory: false });

    expect(cpusOnline).toBe(2);
    expect(online()).toEqual(['0', '0', '0']);
  });

  test('are all taken into use for 0', async () => {
    reset();
    const { cpusOnline, memoryBytes } = await agent.call('OnlineResources', { cpus: 0, memory: true });

    expect(cpusOnline).toBe(5);
    expect(online()).toEqual(['1', '1', '1']);
    expect(read('memory/memory1/state')).toMatch(/^online/);
    expect(memoryBytes).toBe((await agent.call('GuestDetails', {})).memoryTotalBytes);
  });

  test('that the VM does not have are refused, and nothing is changed', async () => {
    reset();

    await expect(agent.call('OnlineResources', { cpus: 6, memory: true })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: '6 processors are asked for: the VM has 5',
    });
    expect(online()).toEqual(['0', '0', '0']);
  });
});

test('the guest tells its free memory, its uptime, its load and its mounts', async () => {
  const details = await agent.call('GuestDetails', {});

  expect(details.memoryFreeBytes).toBeGreaterThan(0n);
  expect(details.memoryFreeBytes).toBeLessThan(details.memoryTotalBytes);
  expect(details.uptimeNs).toBeGreaterThan(details.agentReadyNs);
  expect(details.loadAverages).toHaveLength(3);
  expect(details.mounts).toEqual([]);
});
