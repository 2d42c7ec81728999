// Texts are as Linux 6.12 gives them.
import { describe, expect, test } from 'vitest';
import { blockDeviceStats, cpuStats, hugePageSize, interfaceStats, memoryStats, pressureStats } from './stats.ts';
import { parseFlatKeyed } from './text.ts';

const reading = (files: Record<string, string>) => (file: string) => files[file];

test('processor time and throttling come from cpu.stat', () => {
  const stat =
    'usage_usec 61234\nuser_usec 40000\nsystem_usec 21234\nnice_usec 0\nnr_periods 12\nnr_throttled 3\nthrottled_usec 777\nnr_bursts 0\nburst_usec 0\n';
  const pressure =
    'some avg10=1.50 avg60=0.25 avg300=0.00 total=4242\nfull avg10=100.00 avg60=0.00 avg300=0.01 total=17\n';
  expect(cpuStats(reading({ 'cpu.stat': stat, 'cpu.pressure': pressure }))).toEqual({
    usageUs: 61234n,
    userUs: 40000n,
    systemUs: 21234n,
    periods: 12n,
    throttledPeriods: 3n,
    throttledUs: 777n,
    pressure: {
      someUs: 4242n,
      fullUs: 17n,
      someAvg10: 1.5,
      someAvg60: 0.25,
      someAvg300: 0,
      fullAvg10: 100,
      fullAvg60: 0,
      fullAvg300: 0.01,
    },
  });
});

test('memory has no limit where the kernel says max, and keeps numbers beyond 53 bits', () => {
  const files = {
    'memory.current': '9223372036854775807\n',
    'memory.peak': '4096\n',
    'memory.max': 'max\n',
    'memory.swap.current': '0\n',
    'memory.swap.max': '65536\n',
    'memory.events': 'low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n',
    'memory.stat': 'anon 12288\nfile 0\n',
  };
  expect(memoryStats(reading(files))).toEqual({
    usageBytes: 9223372036854775807n,
    peakBytes: 4096n,
    limitBytes: undefined,
    swapUsageBytes: 0n,
    swapLimitBytes: 65536n,
    oomKills: 1n,
    oomEvents: 2n,
    stat: [
      { name: 'anon', value: 12288n },
      { name: 'file', value: 0n },
    ],
    pressure: undefined,
  });
});

test('a kernel without the controller has no numbers of it', () => {
  expect(memoryStats(reading({}))).toBeUndefined();
  expect(pressureStats(undefined)).toBeUndefined();
});

test('block devices are told of once they have transferred something', () => {
  const text = '254:16 \n254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=512 dios=3\n';
  expect(blockDeviceStats(text)).toEqual([
    {
      major: 254,
      minor: 0,
      readBytes: 4096n,
      writtenBytes: 8192n,
      reads: 1n,
      writes: 2n,
      discardedBytes: 512n,
      discards: 3n,
    },
  ]);
});

test.each([
  ['hugepages-64kB', ['64KB']],
  ['hugepages-2048kB', ['2MB']],
  ['hugepages-1048576kB', ['1GB']],
  ['something-else', []],
])('%s is %j in the names of control files', (name, size) => {
  expect(hugePageSize(name)).toEqual(size);
});

describe('interfaces', () => {
  const headings =
    'Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n';

  test('come from the columns of /proc/PID/net/dev', () => {
    const row =
      '  eth0:  1000       10    1    2    0     0          0         0     2000       20    3    4    0     0       0          0\n';
    expect(interfaceStats(headings + row)).toEqual([
      {
        name: 'eth0',
        receivedBytes: 1000n,
        receivedPackets: 10n,
        receivedErrors: 1n,
        receivedDropped: 2n,
        sentBytes: 2000n,
        sentPackets: 20n,
        sentErrors: 3n,
        sentDropped: 4n,
      },
    ]);
  });

  test('are bounded in number', () => {
    const rows = Array.from({ length: 1000 }, (_, index) => `d${index}: ${'0 '.repeat(16)}\n`).join('');
    expect(interfaceStats(headings + rows)).toHaveLength(256);
  });
});

test('lines that are no name with a number are left out', () => {
  expect([...parseFlatKeyed('a 1\nb\nc -1\nd max\n\ne 2\n')]).toEqual([
    ['a', 1n],
    ['e', 2n],
  ]);
});
