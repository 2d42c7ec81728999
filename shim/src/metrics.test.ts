import { expect, test } from 'vitest';
import { ContainerStatsResponse } from '../../src/protocol/agent.gen.ts';
import { MemoryStat, Metrics, StatsResponse } from '../../src/protocol/containerd.gen.ts';
import { withGuestStats } from './metrics.ts';

const V2 = 'io.containerd.cgroups.v2.Metrics';
const GUEST_MEMORY = 512n << 20n;
const NONE = ContainerStatsResponse.decode(new Uint8Array(0));
const MEMORY = {
  usageBytes: 40n,
  peakBytes: 50n,
  limitBytes: 100n,
  swapUsageBytes: 60n,
  swapLimitBytes: undefined,
  oomKills: 2n,
  oomEvents: 1n,
  stat: [
    { name: 'inactive_file', value: 7n },
    { name: 'thp_fault_alloc', value: 8n },
    { name: 'swapcached', value: 9n },
  ],
  pressure: undefined,
};

function hostStats(typeUrl: string): Uint8Array {
  const value = Metrics.encode({
    pids: { current: 99n, limit: 99n },
    cpu: undefined,
    memory: { ...MemoryStat.decode(new Uint8Array(0)), usage: 999n, file: 999n },
    rdma: Uint8Array.of(10, 1, 0),
    io: Uint8Array.of(10, 0),
    hugetlb: [{ current: 9n, max: 9n, pagesize: '9MB' }],
    memoryEvents: { low: 9n, high: 9n, max: 9n, oom: 9n, oomKill: 9n },
  });
  return StatsResponse.encode({ stats: { typeUrl, value } });
}

function merged(container: Partial<ContainerStatsResponse>, typeUrl = V2): Metrics {
  const answer = withGuestStats(hostStats(typeUrl), {
    container: { ...NONE, ...container },
    memoryTotalBytes: GUEST_MEMORY,
  });
  const { stats } = StatsResponse.decode(answer);
  expect(stats?.typeUrl).toBe(V2);
  return Metrics.decode(stats?.value ?? new Uint8Array(0));
}

test("has the guest's numbers of memory, processors and processes, and none of the host's", () => {
  const metrics = merged({
    memory: MEMORY,
    cpu: {
      usageUs: 3n,
      userUs: 2n,
      systemUs: 1n,
      periods: 4n,
      throttledPeriods: 5n,
      throttledUs: 6n,
      pressure: undefined,
    },
    pids: { current: 11n, limit: undefined },
    hugetlb: [{ pageSize: '2MB', usageBytes: 12n, limitBytes: undefined, failures: 0n }],
  });

  expect(metrics).toMatchObject({
    memory: {
      usage: 40n,
      maxUsage: 50n,
      usageLimit: 100n,
      inactiveFile: 7n,
      thpFaultAlloc: 8n,
      file: 0n,
      swapUsage: 60n,
    },
    memoryEvents: { oom: 1n, oomKill: 2n, high: 0n },
    cpu: { usageUsec: 3n, userUsec: 2n, systemUsec: 1n, nrPeriods: 4n, nrThrottled: 5n, throttledUsec: 6n },
    pids: { current: 11n, limit: 0n },
    hugetlb: [{ pagesize: '2MB', current: 12n, max: 2n ** 64n - 1n }],
  });
});

test('has the transfers of the host, which makes them', () => {
  expect(merged({})).toMatchObject({ io: Uint8Array.of(10, 0), rdma: Uint8Array.of(10, 1, 0) });
});

test('has none of a host whose metrics are those of version 1', () => {
  expect(merged({}, 'io.containerd.cgroups.v1.Metrics').io).toBeUndefined();
});

test('a limit of swap is told, and the greatest number where there is none', () => {
  const swapLimits = [70n, undefined].map(
    (swapLimitBytes) => merged({ memory: { ...MEMORY, swapLimitBytes } }).memory?.swapLimit,
  );

  expect(swapLimits).toEqual([70n, 2n ** 64n - 1n]);
});

test('a container without a limit may use what its guest has', () => {
  expect(merged({ memory: { ...MEMORY, limitBytes: undefined } }).memory?.usageLimit).toBe(GUEST_MEMORY);
});
