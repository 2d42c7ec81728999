// What the kernel says that it has counted, as agent.proto has it (ContainerStats).
import type {
  BlockDeviceStats,
  CpuStats,
  HugetlbStats,
  InterfaceStats,
  MemoryStats,
  PidsStats,
  PressureStats,
} from '../../../../src/protocol/agent.gen.ts';
import { lines, parseFlatKeyed, parseNestedKeyed, parseNumber } from './text.ts';

/** Gives the text of a control file; undefined where there is none. */
export type ReadControl = (file: string) => string | undefined;

/** Interfaces that are told of. A container with CAP_NET_ADMIN can make any number of them. */
const INTERFACES_MAX = 256;

export function cpuStats(read: ReadControl): CpuStats {
  const stat = parseFlatKeyed(read('cpu.stat') ?? '');
  return {
    usageUs: stat.get('usage_usec') ?? 0n,
    userUs: stat.get('user_usec') ?? 0n,
    systemUs: stat.get('system_usec') ?? 0n,
    periods: stat.get('nr_periods') ?? 0n,
    throttledPeriods: stat.get('nr_throttled') ?? 0n,
    throttledUs: stat.get('throttled_usec') ?? 0n,
    pressure: pressureStats(read('cpu.pressure')),
  };
}

export function memoryStats(read: ReadControl): MemoryStats | undefined {
  const current = read('memory.current');
  if (current === undefined) return undefined;
  const events = parseFlatKeyed(read('memory.events') ?? '');
  return {
    usageBytes: parseNumber(current) ?? 0n,
    peakBytes: parseNumber(read('memory.peak') ?? '') ?? 0n,
    limitBytes: parseNumber(read('memory.max') ?? ''),
    swapUsageBytes: parseNumber(read('memory.swap.current') ?? '') ?? 0n,
    swapLimitBytes: parseNumber(read('memory.swap.max') ?? ''),
    oomKills: events.get('oom_kill') ?? 0n,
    oomEvents: events.get('oom') ?? 0n,
    stat: [...parseFlatKeyed(read('memory.stat') ?? '')].map(([name, value]) => ({ name, value })),
    pressure: pressureStats(read('memory.pressure')),
  };
}

export function pidsStats(read: ReadControl): PidsStats | undefined {
  const current = read('pids.current');
  if (current === undefined) return undefined;
  return { current: parseNumber(current) ?? 0n, limit: parseNumber(read('pids.max') ?? '') };
}

/** io.stat: a line per device, which has no pairs at all before its first transfer. */
export function blockDeviceStats(text: string): BlockDeviceStats[] {
  return [...parseNestedKeyed(text)].flatMap(([device, pairs]) => {
    const [, major, minor] = /^([0-9]+):([0-9]+)$/.exec(device) ?? [];
    if (major === undefined || minor === undefined || pairs.size === 0) return [];
    const value = (name: string): bigint => parseNumber(pairs.get(name) ?? '') ?? 0n;
    return {
      major: Number(major),
      minor: Number(minor),
      readBytes: value('rbytes'),
      writtenBytes: value('wbytes'),
      reads: value('rios'),
      writes: value('wios'),
      discardedBytes: value('dbytes'),
      discards: value('dios'),
    };
  });
}

/** "hugepages-2048kB" is "2MB" in the names of control files (mm/hugetlb_cgroup.c, mem_fmt). */
export function hugePageSize(name: string): string[] {
  const kilobytes = Number(/^hugepages-([0-9]+)kB$/.exec(name)?.[1]);
  if (Number.isNaN(kilobytes)) return [];
  if (kilobytes >= 1 << 20) return [`${kilobytes >> 20}GB`];
  return kilobytes >= 1 << 10 ? [`${kilobytes >> 10}MB`] : [`${kilobytes}KB`];
}

export function hugetlbStats(read: ReadControl, pageSize: string): HugetlbStats[] {
  const current = read(`hugetlb.${pageSize}.current`);
  if (current === undefined) return [];
  return [
    {
      pageSize,
      usageBytes: parseNumber(current) ?? 0n,
      limitBytes: parseNumber(read(`hugetlb.${pageSize}.max`) ?? ''),
      failures: parseFlatKeyed(read(`hugetlb.${pageSize}.events`) ?? '').get('max') ?? 0n,
    },
  ];
}

/** Documentation/accounting/psi.rst: "some avg10=0.00 avg60=0.00 avg300=0.00 total=0". */
export function pressureStats(text: string | undefined): PressureStats | undefined {
  if (text === undefined) return undefined;
  const pressure = parseNestedKeyed(text);
  const total = (name: string): bigint => parseNumber(pressure.get(name)?.get('total') ?? '') ?? 0n;
  const average = (name: string, seconds: number): number => Number(pressure.get(name)?.get(`avg${seconds}`)) || 0;
  return {
    someUs: total('some'),
    fullUs: total('full'),
    someAvg10: average('some', 10),
    someAvg60: average('some', 60),
    someAvg300: average('some', 300),
    fullAvg10: average('full', 10),
    fullAvg60: average('full', 60),
    fullAvg300: average('full', 300),
  };
}

/**
 * proc_pid_net(5), dev: two lines of headings, then a line per interface: its name, a colon, eight numbers of what was received
 * (bytes, packets, errs, drop, ...) and eight of what was sent.
 */
export function interfaceStats(text: string): InterfaceStats[] {
  const rows = lines(text).slice(2, 2 + INTERFACES_MAX);
  return rows.map((row) => {
    const colon = row.indexOf(':');
    const numbers = row
      .slice(colon + 1)
      .trim()
      .split(/\s+/);
    const at = (index: number): bigint => parseNumber(numbers[index] ?? '') ?? 0n;
    return {
      name: row.slice(0, colon).trim(),
      receivedBytes: at(0),
      receivedPackets: at(1),
      receivedErrors: at(2),
      receivedDropped: at(3),
      sentBytes: at(8),
      sentPackets: at(9),
      sentErrors: at(10),
      sentDropped: at(11),
    };
  });
}
