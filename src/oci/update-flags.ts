// The single flags of `update` as linux.resources (OCI runtime-spec 1.2, config-linux.md, "Control groups"), read as runc reads them.

import { UpdateError } from './update-error.ts';
import type { Resources } from './update-merge.ts';

/** As they were typed; an empty text counts as absent. */
export interface UpdateFlags {
  readonly blkioWeight?: number;
  readonly cpuPeriod?: string;
  readonly cpuQuota?: string;
  readonly cpuBurst?: string;
  readonly cpuShare?: string;
  readonly cpuRtPeriod?: string;
  readonly cpuRtRuntime?: string;
  readonly cpuIdle?: string;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  readonly memory?: string;
  readonly memoryReservation?: string;
  readonly memorySwap?: string;
  readonly pidsLimit?: number;
}

type Reader = (text: string) => number | string;

/** Flags, the fields of linux.resources that they are, and how their values are read, in the order in which runc reads them. */
const FIELDS: readonly (readonly [keyof UpdateFlags, flag: string, group: string, field: string, Reader])[] = [
  ['cpusetCpus', 'cpuset-cpus', 'cpu', 'cpus', String],
  ['cpusetMems', 'cpuset-mems', 'cpu', 'mems', String],
  ['cpuIdle', 'cpu-idle', 'cpu', 'idle', signed],
  ['cpuBurst', 'cpu-burst', 'cpu', 'burst', unsigned],
  ['cpuPeriod', 'cpu-period', 'cpu', 'period', unsigned],
  ['cpuRtPeriod', 'cpu-rt-period', 'cpu', 'realtimePeriod', unsigned],
  ['cpuShare', 'cpu-share', 'cpu', 'shares', unsigned],
  ['cpuQuota', 'cpu-quota', 'cpu', 'quota', signed],
  ['cpuRtRuntime', 'cpu-rt-runtime', 'cpu', 'realtimeRuntime', signed],
  ['memory', 'memory', 'memory', 'limit', bytes],
  ['memorySwap', 'memory-swap', 'memory', 'swap', bytes],
  ['memoryReservation', 'memory-reservation', 'memory', 'reservation', bytes],
];

/** @throws UpdateError naming the flag */
export function resourcesOfFlags(flags: UpdateFlags): Resources {
  const resources: Record<string, Record<string, number | string>> = {};
  const set = (group: string, field: string, value: number | string): void => {
    resources[group] = { ...resources[group], [field]: value };
  };
  if (flags.blkioWeight) set('blockIO', 'weight', flags.blkioWeight);
  for (const [name, flag, group, field, read] of FIELDS) {
    const text = flags[name];
    if (text === undefined || text === '') continue;
    try {
      set(group, field, read(String(text)));
    } catch (error) {
      throw error instanceof UpdateError ? new UpdateError(`invalid value for ${flag}: ${error.message}`) : error;
    }
  }
  if (flags.pidsLimit) set('pids', 'limit', flags.pidsLimit);
  return resources;
}

function signed(text: string): number {
  return integer('ParseInt', /^[+-]?\d+$/, -(2 ** 63), 2 ** 63, text);
}

function unsigned(text: string): number {
  return integer('ParseUint', /^\d+$/, 0, 2 ** 64, text);
}

/** @param parser of Go's package strconv, which names itself in its errors */
function integer(parser: string, form: RegExp, minimum: number, limit: number, text: string): number {
  const fail = (reason: string): UpdateError =>
    new UpdateError(`strconv.${parser}: parsing ${JSON.stringify(text)}: ${reason}`);
  if (!form.test(text)) throw fail('invalid syntax');
  const number = Number(text);
  // The greatest values are rounded to the limit.
  if (number < minimum || number > limit) throw fail('value out of range');
  return number;
}

/** Sizes such as 512m, 1.5GiB, 100 MB or 65536; -1 for no limit. Units are powers of 1024, in letters of either case. */
function bytes(text: string): number {
  if (text === '-1') return -1;
  const [, digits, suffix = ''] = /^(.*[\d.]) ?([^\d. ]*)$/s.exec(text) ?? [];
  if (digits === undefined) throw new UpdateError(`invalid size: '${text}'`);
  if (!/^[+-]?(\d+\.?\d*|\.\d+)$/.test(digits)) {
    throw new UpdateError(`strconv.ParseFloat: parsing ${JSON.stringify(digits)}: invalid syntax`);
  }
  const number = Number(digits);
  if (number < 0) throw new UpdateError(`invalid size: '${text}'`);
  const match = /^(?:b|([kmgtp])(?:i?b)?)?$/.exec(suffix.toLowerCase());
  if (match === null) throw new UpdateError(`invalid suffix: '${suffix.toLowerCase()}'`);
  // 2^10 for each letter.
  const steps = match[1] === undefined ? 0 : 'kmgtp'.indexOf(match[1]) + 1;
  return Math.trunc(number * 1024 ** steps);
}
