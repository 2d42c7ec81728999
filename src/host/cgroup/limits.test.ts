import { describe, expect, test } from 'vitest';
import type { HostResources } from '../../oci/resources.ts';
import { controlWrites } from './limits.ts';
import { bitsOfList, limitProperties } from './systemd-properties.ts';

const VM = 512;
const OVERHEAD = 100;

function writes(version: 1 | 2, resources: HostResources): [string, unknown][] {
  return controlWrites(version, { resources, vmMemoryBytes: VM, overheadBytes: OVERHEAD }).map(({ file, value }) => [
    file,
    typeof value === 'string' ? value : value('12000 100000'),
  ]);
}

const MAX_2 = ['memory.max', '612'];
const MAX_1 = ['memory.limit_in_bytes', '612'];

describe('memory', () => {
  test('is limited to what the VM has and its overhead, whatever was asked for', () => {
    expect(writes(2, {})).toEqual([MAX_2]);
    expect(writes(2, { memory: { limit: -1 } })).toEqual([MAX_2, ['memory.swap.max', 'max']]);
    expect(writes(1, { memory: { limit: 400 } })).toEqual([MAX_1]);
  });

  test.each<[Record<string, number>, string]>([
    [{ limit: 400, swap: 1000 }, '600'],
    [{ limit: 400, swap: 400 }, '0'],
    [{ limit: 400, swap: -1 }, 'max'],
    [{ limit: -1, swap: 1000 }, 'max'],
    [{ swap: 1000 }, '488'],
    [{ swap: 2 ** 64 }, 'max'],
  ])('%j leaves %s of swap', (memory, swap) => {
    expect(writes(2, { memory })).toContainEqual(['memory.swap.max', swap]);
  });

  test('of version 1 counts memory and swap together', () => {
    expect(writes(1, { memory: { limit: 400, swap: 1000 } })).toContainEqual(['memory.memsw.limit_in_bytes', '1212']);
    expect(writes(1, { memory: { limit: 400, swap: -1 } })).toContainEqual(['memory.memsw.limit_in_bytes', '-1']);
  });

  test('has a reservation and, on version 1, swappiness', () => {
    const memory = { reservation: 300, swappiness: 0 };

    expect(writes(2, { memory })).toEqual([MAX_2, ['memory.low', '300']]);
    expect(writes(1, { memory })).toEqual([MAX_1, ['memory.soft_limit_in_bytes', '300'], ['memory.swappiness', '0']]);
  });

  test('has none with a reservation of zero, which takes back what an update has set', () => {
    const memory = { reservation: 0 };

    expect(writes(2, { memory })).toEqual([MAX_2, ['memory.low', '0']]);
    expect(writes(1, { memory })).toEqual([MAX_1, ['memory.soft_limit_in_bytes', '-1']]);
  });
});

describe('processors', () => {
  const cpu = { shares: 512, quota: 50_000, period: 100_000, burst: 1000, idle: 0, cpus: '0-1', mems: '0' };

  test('on version 2', () => {
    expect(writes(2, { cpu }).slice(1)).toEqual([
      ['cpu.weight', '59'],
      ['cpu.idle', '0'],
      ['cpu.max', '50000 100000'],
      ['cpu.max.burst', '1000'],
      ['cpuset.cpus', '0-1'],
      ['cpuset.mems', '0'],
    ]);
  });

  test('on version 1', () => {
    expect(writes(1, { cpu }).slice(1)).toEqual([
      ['cpu.shares', '512'],
      ['cpu.idle', '0'],
      ['cpu.cfs_period_us', '100000'],
      ['cpu.cfs_quota_us', '50000'],
      ['cpu.cfs_burst_us', '1000'],
      ['cpuset.cpus', '0-1'],
      ['cpuset.mems', '0'],
    ]);
  });

  test.each<[Record<string, number>, string]>([
    [{ quota: -1 }, 'max'],
    [{ quota: 20_000 }, '20000'],
    [{ period: 50_000 }, '12000 50000'],
  ])('%j is %s', (values, text) => {
    expect(writes(2, { cpu: values })).toContainEqual(['cpu.max', text]);
  });
});

describe('block devices', () => {
  const blockIO = {
    weight: 500,
    weightDevice: [{ major: 8, minor: 0, weight: 1000 }],
    throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1024 }],
    throttleWriteIOPSDevice: [{ major: 8, minor: 16, rate: 0 }],
  };

  test('on version 2', () => {
    expect(writes(2, { blockIO }).slice(1)).toEqual([
      ['io.weight', '4950'],
      ['io.weight', '8:0 10000'],
      ['io.max', '8:0 rbps=1024'],
      ['io.max', '8:16 wiops=max'],
    ]);
  });

  test('on version 1', () => {
    expect(writes(1, { blockIO }).slice(1)).toEqual([
      ['blkio.weight', '500'],
      ['blkio.weight_device', '8:0 1000'],
      ['blkio.throttle.read_bps_device', '8:0 1024'],
      ['blkio.throttle.write_iops_device', '8:16 0'],
    ]);
  });

  test.each([9, 1001])('have no weight %i', (weight) => {
    expect(() => writes(2, { blockIO: { weight } })).toThrow(
      `linux.resources.blockIO.weight is ${weight}; allowed is 10 to 1000`,
    );
  });
});

test('networks have classes on version 1 alone, RDMA devices have limits on both', () => {
  const resources = {
    network: { classID: 7, priorities: [{ name: 'eth0', priority: 5 }] },
    rdma: { mlx5: { hcaHandles: 3 } },
  };

  expect(writes(2, resources).slice(1)).toEqual([['rdma.max', 'mlx5 hca_handle=3 hca_object=max']]);
  expect(writes(1, resources).slice(1)).toEqual([
    ['net_cls.classid', '7'],
    ['net_prio.ifpriomap', 'eth0 5'],
    ['rdma.max', 'mlx5 hca_handle=3 hca_object=2147483647'],
  ]);
});

describe('the unified map', () => {
  test("has the host's files written as they are, behind the rest", () => {
    expect(writes(2, { cpu: { shares: 2 }, unified: { 'cpu.weight': '7', 'memory.high': '1' } })).toEqual([
      MAX_2,
      ['cpu.weight', '1'],
      ['cpu.weight', '7'],
    ]);
  });

  test('cannot be used for the host on version 1', () => {
    expect(writes(1, { unified: { 'pids.max': '1' } })).toEqual([MAX_1]);
    expect(() => writes(1, { unified: { 'io.max': 'x' } })).toThrow('io.max is a file of cgroup v2');
  });
});

test('null is nothing', () => {
  const resources = { memory: null, cpu: null, blockIO: null, network: null, rdma: null, unified: null };

  expect(writes(2, resources)).toEqual([MAX_2]);
  expect(writes(1, resources)).toEqual([MAX_1]);
});

describe("systemd's properties", () => {
  const properties = (version: 1 | 2, resources: HostResources) =>
    limitProperties(version, controlWrites(version, { resources, vmMemoryBytes: VM, overheadBytes: OVERHEAD }));

  test('on version 2', () => {
    const cpu = { shares: 1024, quota: 15_500, period: 100_000, cpus: '0-1,9' };

    expect(properties(2, { cpu, memory: { swap: -1, reservation: 5 }, blockIO: { weight: 10 } })).toEqual([
      ['MemoryMax', 't', '612'],
      ['MemorySwapMax', 't', '18446744073709551615'],
      ['MemoryLow', 't', '5'],
      ['CPUWeight', 't', '100'],
      ['AllowedCPUs', 'ay', '2', '3', '2'],
      ['IOWeight', 't', '1'],
      ['CPUQuotaPeriodUSec', 't', '100000'],
      // Whole percents of a processor.
      ['CPUQuotaPerSecUSec', 't', '160000'],
    ]);
  });

  test('on version 1', () => {
    expect(properties(1, { cpu: { shares: 512, quota: -1, cpus: '0' } })).toEqual([
      ['MemoryLimit', 't', '612'],
      ['CPUShares', 't', '512'],
      ['CPUQuotaPerSecUSec', 't', '18446744073709551615'],
    ]);
  });

  test.each(['', 'x', '1-', '0-9999999999'])('%j is no list of processors', (list) => {
    expect(bitsOfList(list)).toBeUndefined();
  });
});
