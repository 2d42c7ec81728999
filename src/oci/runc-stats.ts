// A container's statistics in the form in which `runc events` prints them (runc's types/events.go, for cgroup v2). Fields whose value
// is zero are left out where Go's `omitempty` leaves them out; times are nanoseconds.
import type {
  BlockDeviceStats,
  ContainerStatsResponse,
  CpuStats,
  InterfaceStats,
  MemoryStats,
  PressureStats,
} from '../protocol/agent.gen.ts';

/** What `events` prints in a line each. */
export interface RuncEvent {
  readonly type: 'stats' | 'oom';
  readonly id: string;
  readonly data?: object;
}

/** Go's math.MaxUint64: no limit. */
const NO_LIMIT = 2n ** 64n - 1n;
const NS_PER_US = 1000n;
/** Files of cgroup v1 that version 2 has not; runc prints them all the same. */
const NO_CPUSET = {
  cpu_exclusive: 0,
  mem_hardwall: 0,
  mem_exclusive: 0,
  memory_migrate: 0,
  memory_spread_page: 0,
  memory_spread_slab: 0,
  memory_pressure: 0,
  sched_load_balance: 0,
  sched_relax_domain_level: 0,
};
const NO_MEMORY = { limit: 0n, failcnt: 0n };

/** @returns the object `data` of an event of type `stats`; its 64-bit numbers are bigints: see `encodeEvent` */
export function runcStats(stats: ContainerStatsResponse): object {
  return {
    cpu: cpu(stats.cpu),
    cpuset: NO_CPUSET,
    memory: memory(stats.memory),
    pids: nonZero({ current: stats.pids?.current, limit: stats.pids?.limit }),
    blkio: blkio(stats.blockDevices, stats.ioPressure),
    hugetlb: Object.fromEntries(
      stats.hugetlb.map(({ pageSize, usageBytes, failures }) => [
        pageSize,
        { ...nonZero({ usage: usageBytes }), failcnt: failures },
      ]),
    ),
    intel_rdt: {},
    network_interfaces: stats.interfaces.filter(({ name }) => name !== 'lo').map(networkInterface),
  };
}

/** An event as a line of JSON, without line feed. Numbers of 64 bits are written in full, as Go writes and reads them. */
export function encodeEvent(event: RuncEvent): string {
  return JSON.stringify(event, (_, value: unknown) => (typeof value === 'bigint' ? rawJson(String(value)) : value));
}

/** JSON.rawJSON (ECMAScript, "JSON.parse source text access"), which TypeScript's library does not declare yet. */
const { rawJSON: rawJson } = JSON as unknown as { readonly rawJSON: (text: string) => object };

function cpu(stats: CpuStats | undefined): object {
  const ns = (us: bigint | undefined): bigint => (us ?? 0n) * NS_PER_US;
  return {
    usage: { ...nonZero({ total: ns(stats?.usageUs) }), kernel: ns(stats?.systemUs), user: ns(stats?.userUs) },
    throttling: nonZero({
      periods: stats?.periods,
      throttledPeriods: stats?.throttledPeriods,
      throttledTime: ns(stats?.throttledUs),
    }),
    ...pressure(stats?.pressure),
  };
}

function memory(stats: MemoryStats | undefined): object {
  if (stats === undefined) return { usage: NO_MEMORY, swap: NO_MEMORY, kernel: NO_MEMORY, kernelTCP: NO_MEMORY };
  const { usageBytes, peakBytes, limitBytes = NO_LIMIT, swapUsageBytes, swapLimitBytes = NO_LIMIT } = stats;
  const raw = Object.fromEntries(stats.stat.map(({ name, value }) => [name, value]));
  // As in cgroup v1, swap is memory and swap together.
  const bothLimit = swapLimitBytes + limitBytes;
  return {
    ...nonZero({ cache: raw['file'] }),
    usage: { limit: limitBytes, ...nonZero({ usage: usageBytes, max: peakBytes }), failcnt: 0n },
    swap: {
      limit: bothLimit > NO_LIMIT ? NO_LIMIT : bothLimit,
      ...nonZero({ usage: usageBytes + swapUsageBytes }),
      failcnt: 0n,
    },
    kernel: NO_MEMORY,
    kernelTCP: NO_MEMORY,
    raw,
    ...pressure(stats.pressure),
  };
}

function blkio(devices: readonly BlockDeviceStats[], ioPressure: PressureStats | undefined): object {
  const entries = (read: 'readBytes' | 'reads', write: 'writtenBytes' | 'writes'): object[] =>
    devices.flatMap((device) =>
      [['Read', read] as const, ['Write', write] as const].map(([op, field]) => ({
        ...nonZero({ major: device.major, minor: device.minor }),
        op,
        ...nonZero({ value: device[field] }),
      })),
    );
  if (devices.length === 0) return pressure(ioPressure);
  return {
    ioServiceBytesRecursive: entries('readBytes', 'writtenBytes'),
    ioServicedRecursive: entries('reads', 'writes'),
    ...pressure(ioPressure),
  };
}

function networkInterface(stats: InterfaceStats): object {
  return {
    Name: stats.name,
    RxBytes: stats.receivedBytes,
    RxPackets: stats.receivedPackets,
    RxErrors: stats.receivedErrors,
    RxDropped: stats.receivedDropped,
    TxBytes: stats.sentBytes,
    TxPackets: stats.sentPackets,
    TxErrors: stats.sentErrors,
    TxDropped: stats.sentDropped,
  };
}

function pressure(stats: PressureStats | undefined): object {
  if (stats === undefined) return {};
  const { someAvg10, someAvg60, someAvg300, someUs, fullAvg10, fullAvg60, fullAvg300, fullUs } = stats;
  return {
    psi: {
      some: { avg10: someAvg10, avg60: someAvg60, avg300: someAvg300, total: someUs },
      full: { avg10: fullAvg10, avg60: fullAvg60, avg300: fullAvg300, total: fullUs },
    },
  };
}

/** Go's `omitempty`. */
function nonZero(fields: Readonly<Record<string, bigint | number | undefined>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => Boolean(value)));
}
