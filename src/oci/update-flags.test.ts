import { expect, test } from 'vitest';
import { resourcesOfFlags, type UpdateFlags } from './update-flags.ts';

test('each flag is its field of linux.resources', () => {
  const resources = resourcesOfFlags({
    blkioWeight: 500,
    cpuPeriod: '100000',
    cpuQuota: '-1',
    cpuBurst: '0',
    cpuShare: '512',
    cpuRtPeriod: '1000000',
    cpuRtRuntime: '950000',
    cpuIdle: '1',
    cpusetCpus: '0-3,8',
    cpusetMems: '0',
    memory: '512m',
    memoryReservation: '1g',
    memorySwap: '-1',
    pidsLimit: -1,
  });

  expect(resources).toEqual({
    blockIO: { weight: 500 },
    cpu: {
      period: 100_000,
      quota: -1,
      burst: 0,
      shares: 512,
      realtimePeriod: 1_000_000,
      realtimeRuntime: 950_000,
      idle: 1,
      cpus: '0-3,8',
      mems: '0',
    },
    memory: { limit: 536_870_912, reservation: 1_073_741_824, swap: -1 },
    pids: { limit: -1 },
  });
});

test('flags that are absent, empty or zero name nothing', () => {
  expect(resourcesOfFlags({ memory: '', cpusetCpus: '', pidsLimit: 0, blkioWeight: 0 })).toEqual({});
});

test.each<[string, number]>([
  ['0', 0],
  ['65536', 65_536],
  ['65536b', 65_536],
  ['64k', 65_536],
  ['64K', 65_536],
  ['64kb', 65_536],
  ['64KiB', 65_536],
  ['1.5m', 1_572_864],
  ['1.5 MB', 1_572_864],
  ['2g', 2 ** 31],
  ['1t', 2 ** 40],
  ['1p', 2 ** 50],
  ['-1', -1],
])('the size %j is %j bytes', (memory, limit) => {
  expect(resourcesOfFlags({ memory })).toEqual({ memory: { limit } });
});

test.each<[UpdateFlags, string]>([
  [{ memory: 'much' }, "invalid value for memory: invalid size: 'much'"],
  [{ memory: '-5' }, "invalid value for memory: invalid size: '-5'"],
  [{ memorySwap: '5x' }, "invalid value for memory-swap: invalid suffix: 'x'"],
  [
    { memoryReservation: '5kib5' },
    'invalid value for memory-reservation: strconv.ParseFloat: parsing "5kib5": invalid',
  ],
  [{ memory: '5mbb' }, "invalid value for memory: invalid suffix: 'mbb'"],
  [{ cpuQuota: '1.5' }, 'invalid value for cpu-quota: strconv.ParseInt: parsing "1.5": invalid syntax'],
  [{ cpuPeriod: '-1' }, 'invalid value for cpu-period: strconv.ParseUint: parsing "-1": invalid syntax'],
  [{ cpuShare: '99999999999999999999' }, 'strconv.ParseUint: parsing "99999999999999999999": value out of range'],
  [{ cpuIdle: 'yes' }, 'invalid value for cpu-idle: strconv.ParseInt: parsing "yes": invalid syntax'],
])('%j is refused in the words of Go', (flags, message) => {
  expect(() => resourcesOfFlags(flags)).toThrow(message);
});
