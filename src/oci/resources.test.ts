import { expect, test } from 'vitest';
import { resourcesForGuest, unifiedForHost } from './resources.ts';

test('the guest gets what its kernel can do', () => {
  const resources = {
    memory: { limit: 1 << 30, swap: 2 << 30 },
    pids: { limit: 10 },
    cpu: { shares: 512, quota: 50_000, period: 100_000 },
    hugepageLimits: [{ pageSize: '2MB', limit: 0 }],
    devices: [{ allow: false }],
    unified: { 'memory.high': '1G', 'cpu.weight': '50' },
  };

  expect(resourcesForGuest(resources)).toEqual(resources);
});

test("the guest gets nothing that names the host's processors, devices and networks", () => {
  const resources = {
    cpu: { shares: 512, cpus: '0-1', mems: '0' },
    blockIO: { weight: 500 },
    network: { classID: 1 },
    rdma: { mlx5_0: { hcaHandles: 1 } },
    unified: { 'cpuset.cpus': '0', 'io.max': '8:0 rbps=1', 'rdma.max': 'x', 'misc.max': 'sev 1', 'pids.max': '5' },
  };

  expect(resourcesForGuest(resources)).toEqual({ cpu: { shares: 512 }, unified: { 'pids.max': '5' } });
});

test('null stands for what is not there', () => {
  expect(resourcesForGuest({ cpu: null, blockIO: null, unified: null, pids: null })).toEqual({
    cpu: null,
    unified: null,
    pids: null,
  });
});

test('the host sets its own files of the unified map, and the limits that it enforces besides the guest', () => {
  const unified = {
    'cpuset.cpus': '0',
    'io.max': '8:0 rbps=1',
    'cpu.max': '1000 10000',
    'memory.swap.max': '0',
    'memory.high': '1G',
    'pids.max': '5',
    'hugetlb.2MB.max': '0',
    'cgroup.max.depth': '3',
  };

  expect(Object.keys(unifiedForHost(unified))).toEqual(['cpuset.cpus', 'io.max', 'cpu.max', 'memory.swap.max']);
});
