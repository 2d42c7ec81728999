// A container's statistics in the form in which containerd passes them on.
import type { ContainerStatsResponse, MemoryStats } from '../../src/protocol/agent.gen.ts';
import { MemoryStat, Metrics, StatsResponse } from '../../src/protocol/containerd.gen.ts';

/** The type of the metrics of version 2 of control groups, which every guest has. */
const METRICS = 'io.containerd.cgroups.v2.Metrics';
/** What containerd writes for a limit that is not set. */
const NO_LIMIT = 2n ** 64n - 1n;

export interface GuestStats {
  readonly container: ContainerStatsResponse;
  /** All that the guest has, bytes: what a container without a limit of its own may use. Asked for such ones only. */
  readonly memoryTotalBytes?: bigint;
}

/**
 * Puts what the container uses in its guest into the place of what its processes on the host use. Transfers of disks and RDMA stay
 * those of the host, which makes them.
 * @param hostStats an encoded StatsResponse, of containerd-shim-runc-v2
 * @returns an encoded StatsResponse
 */
export function withGuestStats(hostStats: Uint8Array, { container, memoryTotalBytes }: GuestStats): Uint8Array {
  const { stats } = StatsResponse.decode(hostStats);
  // A host with version 1 of control groups tells others.
  const host = Metrics.decode(stats?.typeUrl.endsWith(METRICS) === true ? stats.value : new Uint8Array(0));
  const { cpu, memory, pids, hugetlb } = container;
  const value = Metrics.encode({
    pids: { current: pids?.current ?? 0n, limit: pids?.limit ?? 0n },
    cpu: {
      usageUsec: cpu?.usageUs ?? 0n,
      userUsec: cpu?.userUs ?? 0n,
      systemUsec: cpu?.systemUs ?? 0n,
      nrPeriods: cpu?.periods ?? 0n,
      nrThrottled: cpu?.throttledPeriods ?? 0n,
      throttledUsec: cpu?.throttledUs ?? 0n,
    },
    memory: memory === undefined ? undefined : memoryStat(memory, memoryTotalBytes ?? NO_LIMIT),
    rdma: host.rdma,
    io: host.io,
    hugetlb: hugetlb.map(({ pageSize, usageBytes, limitBytes = NO_LIMIT }) => ({
      pagesize: pageSize,
      current: usageBytes,
      max: limitBytes,
    })),
    memoryEvents: { low: 0n, high: 0n, max: 0n, oom: memory?.oomEvents ?? 0n, oomKill: memory?.oomKills ?? 0n },
  });
  return StatsResponse.encode({ stats: { typeUrl: METRICS, value } });
}

function memoryStat(memory: MemoryStats, memoryTotalBytes: bigint): MemoryStat {
  const {
    usageBytes,
    peakBytes,
    limitBytes = memoryTotalBytes,
    swapUsageBytes,
    swapLimitBytes = NO_LIMIT,
    stat,
  } = memory;
  const none = MemoryStat.decode(new Uint8Array(0));
  const counted = stat.map(({ name, value }) => [camelCase(name), value] as const).filter(([name]) => name in none);
  return {
    ...none,
    ...Object.fromEntries(counted),
    usage: usageBytes,
    usageLimit: limitBytes,
    maxUsage: peakBytes,
    swapUsage: swapUsageBytes,
    swapLimit: swapLimitBytes,
  };
}

function camelCase(name: string): string {
  return name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}
