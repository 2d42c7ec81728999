// Limits as properties of systemd's units (systemd.resource-control(5)). systemd writes its own values into the files of a unit
// whenever it sees fit: what it does not know of does not last. What it has no property for stays as it was written.
import type { ControlWrite } from './limits.ts';

/** A name, a D-Bus type, and values, in the form that busctl(1) takes. */
export type Property = readonly [name: string, type: string, ...values: string[]];

const INFINITY = String(2n ** 64n - 1n);
const USEC_PER_SEC = 1_000_000;
/** The kernel's, where nobody has set one. */
const DEFAULT_PERIOD_US = 100_000;
/** systemd keeps whole percents of a processor. */
const PERCENT_US = 10_000;

/** Properties of type t, by the control files for which they stand. */
const NUMBERS: Readonly<Record<string, string>> = {
  'memory.max': 'MemoryMax',
  'memory.low': 'MemoryLow',
  'memory.min': 'MemoryMin',
  'memory.high': 'MemoryHigh',
  'memory.swap.max': 'MemorySwapMax',
  'cpu.weight': 'CPUWeight',
  'io.weight': 'IOWeight',
  'memory.limit_in_bytes': 'MemoryLimit',
  'cpu.shares': 'CPUShares',
  'blkio.weight': 'BlockIOWeight',
};

const CPUSETS: Readonly<Record<string, string>> = {
  'cpuset.cpus': 'AllowedCPUs',
  'cpuset.mems': 'AllowedMemoryNodes',
};

export function limitProperties(version: 1 | 2, writes: readonly ControlWrite[]): Property[] {
  const values = new Map(
    writes.flatMap(({ file, value }) => (typeof value === 'string' ? [[file, value.trim()]] : [])),
  );
  const properties = [...values].flatMap(([file, value]): Property[] => {
    const number = NUMBERS[file];
    if (number !== undefined && /^(max|-1)$/.test(value)) return [[number, 't', INFINITY]];
    if (number !== undefined && /^\d+$/.test(value)) return [[number, 't', value]];
    const set = version === 2 ? CPUSETS[file] : undefined;
    const bytes = set === undefined ? undefined : bitsOfList(value);
    return set === undefined || bytes === undefined ? [] : [[set, 'ay', String(bytes.length), ...bytes.map(String)]];
  });
  const [quota, period] =
    version === 2
      ? (values.get('cpu.max')?.split(/\s+/) ?? [])
      : [values.get('cpu.cfs_quota_us'), values.get('cpu.cfs_period_us')];
  return [...properties, ...quotaProperties(quota, period)];
}

function quotaProperties(quota: string | undefined, period: string | undefined): Property[] {
  const properties: Property[] = period === undefined ? [] : [['CPUQuotaPeriodUSec', 't', period]];
  if (quota === undefined) return properties;
  if (!/^\d+$/.test(quota)) return [...properties, ['CPUQuotaPerSecUSec', 't', INFINITY]];
  const perSecondUs = (Number(quota) * USEC_PER_SEC) / Number(period ?? DEFAULT_PERIOD_US);
  const rounded = Math.ceil(perSecondUs / PERCENT_US) * PERCENT_US;
  return [...properties, ['CPUQuotaPerSecUSec', 't', String(rounded)]];
}

/** The greatest that the kernel can have (Kconfig, NR_CPUS): a bound for lists such as "0-4294967295". */
const CPUS_MAX = 8192;

/** Bytes of a list such as "0-3,8", the lowest first. @returns undefined for what is no such list */
export function bitsOfList(list: string): number[] | undefined {
  const bytes: number[] = [];
  for (const range of list.split(',')) {
    const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(range.trim()) ?? [];
    if (first === undefined || Number(last) >= CPUS_MAX) return undefined;
    for (let bit = Number(first); bit <= Number(last); bit++) {
      const at = bit >> 3;
      while (bytes.length <= at) bytes.push(0);
      bytes[at] = (bytes[at] ?? 0) | (1 << (bit & 7));
    }
  }
  return bytes;
}
