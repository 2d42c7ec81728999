import { expect, test } from 'vitest';
import type { VirtioDevice } from '../devices/virtio/device.ts';
import { collectMetrics, deviceMetrics, parseMemoryStatus } from './metrics.ts';

const device = (name: string, counters?: Record<string, number>): VirtioDevice => ({
  name,
  deviceId: 2,
  features: 0n,
  queueSizes: [1],
  configurationSpace: new Uint8Array(),
  activate: () => ({ [Symbol.dispose]: () => undefined }),
  ...(counters === undefined ? {} : { metrics: () => counters }),
});

test('the memory of a process is read in bytes, and what is missing is 0', () => {
  const status = 'Name:\tnode\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\nRssAnon:\t     8 kB\nRssShmem:\t       4 kB\n';

  expect(parseMemoryStatus(status)).toEqual({
    residentBytes: 1024 * 1024,
    peakResidentBytes: 2048 * 1024,
    anonymousBytes: 8192,
    fileBytes: 0,
    sharedBytes: 4096,
  });
});

test('each device has its counters, one that counts nothing has none', () => {
  const counting = device('a', { read_bytes: 512 });
  expect(deviceMetrics([counting, device('b')], new Map([[counting, { interrupts: 2 }]]))).toEqual([
    { name: 'a', type: 'block', counters: { interrupts: 2, read_bytes: 512 } },
    { name: 'b', type: 'block', counters: {} },
  ]);
});

test('a VM that was not started has no uptime; this process has memory', () => {
  const metrics = collectMetrics({
    exitCounts: new Map([['KVM_EXIT_IO', 3]]),
    devices: [],
    transports: new Map(),
    startedNs: undefined,
  });

  expect(metrics).toMatchObject({ uptimeMs: 0, exits: { KVM_EXIT_IO: 3 }, devices: [] });
  expect(metrics.memory.residentBytes).toBeGreaterThan(0);
});
