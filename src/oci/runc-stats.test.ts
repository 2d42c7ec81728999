import { expect, test } from 'vitest';
import type { ContainerStatsResponse, PressureStats } from '../protocol/agent.gen.ts';
import { encodeEvent, runcStats } from './runc-stats.ts';

const pressure: PressureStats = {
  someUs: 7n,
  fullUs: 5n,
  someAvg10: 1.5,
  someAvg60: 0.25,
  someAvg300: 0,
  fullAvg10: 0.01,
  fullAvg60: 0,
  fullAvg300: 0,
};
const psi = {
  some: { avg10: 1.5, avg60: 0.25, avg300: 0, total: 7 },
  full: { avg10: 0.01, avg60: 0, avg300: 0, total: 5 },
};

const NOTHING: ContainerStatsResponse = {
  cpu: undefined,
  memory: undefined,
  pids: undefined,
  blockDevices: [],
  hugetlb: [],
  interfaces: [],
  ioPressure: undefined,
};

const FULL: ContainerStatsResponse = {
  cpu: { usageUs: 30n, userUs: 20n, systemUs: 10n, periods: 4n, throttledPeriods: 2n, throttledUs: 3n, pressure },
  memory: {
    usageBytes: 4096n,
    peakBytes: 8192n,
    limitBytes: 65_536n,
    swapUsageBytes: 1024n,
    swapLimitBytes: 32_768n,
    oomKills: 0n,
    oomEvents: 0n,
    stat: [
      { name: 'file', value: 12n },
      { name: 'anon', value: 2n ** 60n + 1n },
    ],
    pressure,
  },
  pids: { current: 3n, limit: 50n },
  blockDevices: [
    {
      major: 254,
      minor: 0,
      readBytes: 512n,
      writtenBytes: 0n,
      reads: 1n,
      writes: 0n,
      discardedBytes: 9n,
      discards: 9n,
    },
  ],
  hugetlb: [{ pageSize: '2MB', usageBytes: 2n, limitBytes: undefined, failures: 1n }],
  interfaces: ['lo', 'eth0'].map((name) => ({
    name,
    receivedBytes: 1n,
    receivedPackets: 2n,
    receivedErrors: 3n,
    receivedDropped: 4n,
    sentBytes: 5n,
    sentPackets: 6n,
    sentErrors: 7n,
    sentDropped: 8n,
  })),
  ioPressure: pressure,
};

function printed(stats: ContainerStatsResponse): { readonly memory: object } {
  return JSON.parse(encodeEvent({ type: 'stats', id: 'c1', data: runcStats(stats) })).data;
}

test('all that the guest knows is in its field', () => {
  expect(printed(FULL)).toMatchObject({
    cpu: {
      usage: { total: 30_000, kernel: 10_000, user: 20_000 },
      throttling: { periods: 4, throttledPeriods: 2, throttledTime: 3000 },
      psi,
    },
    memory: {
      cache: 12,
      usage: { limit: 65_536, usage: 4096, max: 8192, failcnt: 0 },
      swap: { limit: 98_304, usage: 5120, failcnt: 0 },
      psi,
    },
    pids: { current: 3, limit: 50 },
    blkio: {
      ioServiceBytesRecursive: [
        { major: 254, op: 'Read', value: 512 },
        { major: 254, op: 'Write' },
      ],
      ioServicedRecursive: [
        { major: 254, op: 'Read', value: 1 },
        { major: 254, op: 'Write' },
      ],
      psi,
    },
    hugetlb: { '2MB': { usage: 2, failcnt: 1 } },
    intel_rdt: {},
    network_interfaces: [
      {
        Name: 'eth0',
        RxBytes: 1,
        RxPackets: 2,
        RxErrors: 3,
        RxDropped: 4,
        TxBytes: 5,
        TxPackets: 6,
        TxErrors: 7,
        TxDropped: 8,
      },
    ],
  });
});

test('numbers of 64 bits are written in full', () => {
  const text = encodeEvent({ type: 'stats', id: 'c1', data: runcStats(FULL) });

  expect(text).toContain('"anon":1152921504606846977');
});

test('no limit is the greatest number of 64 bits', () => {
  const { memory } = FULL;
  const unlimited = memory && { ...memory, limitBytes: undefined, swapLimitBytes: undefined };

  const text = encodeEvent({ type: 'stats', id: 'c1', data: runcStats({ ...FULL, memory: unlimited }) });

  expect(text.match(/"limit":18446744073709551615,/g)).toHaveLength(2);
});

test('a guest that knows nothing gives what runc prints without controllers', () => {
  expect(printed(NOTHING)).toMatchObject({
    cpu: { usage: { kernel: 0, user: 0 }, throttling: {} },
    memory: { usage: { limit: 0, failcnt: 0 }, swap: { limit: 0, failcnt: 0 } },
    pids: {},
    blkio: {},
    hugetlb: {},
    network_interfaces: [],
  });
});

test('an event without data is its type and its container', () => {
  expect(encodeEvent({ type: 'oom', id: 'c1' })).toBe('{"type":"oom","id":"c1"}');
});
