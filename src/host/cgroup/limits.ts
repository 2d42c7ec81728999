// What is written into a sandbox's control group on the host: linux.resources as files of either version of control groups.
import type { HostResources, Throttle } from '../../oci/resources.ts';
import { unifiedForHost } from '../../oci/resources.ts';
import { BLOCK_WEIGHT, ioWeightOfBlockWeight, weightOfShares } from '../../oci/weights.ts';
import { CgroupError } from './cgroup-error.ts';

export interface SandboxLimits {
  readonly resources: HostResources;
  /** What the guest has as RAM. */
  readonly vmMemoryBytes: number;
  /** What the processes around the guest may take besides: the VMM, its back ends, the proxies, and caches of files. */
  readonly overheadBytes: number;
}

export interface ControlWrite {
  /** Its name begins with its controller's. */
  readonly file: string;
  /** A function makes it of what the file has. */
  readonly value: string | ((current: string) => string);
  /** The field of linux.resources that asks for it, for messages. */
  readonly field: string;
  /** A host without this file does what is wanted anyway, or nobody has asked for it. */
  readonly isOptional?: boolean;
  /** For a host that has another file for the same. */
  readonly otherwise?: Pick<ControlWrite, 'file' | 'value'>;
}

/** Values from here on mean "no limit" to everybody: they are more than any counter of the kernel holds. */
const UNLIMITED = 2 ** 63;

/** How a version of control groups writes numbers. */
function numbers(noLimit: string): (value: number) => string {
  return (value) => (value < 0 || value >= UNLIMITED ? noLimit : BigInt(value).toString());
}

/** Zero means "not set", to runc and its callers. @throws CgroupError CANNOT_LIMIT */
export function controlWrites(version: 1 | 2, limits: SandboxLimits): ControlWrite[] {
  return version === 2 ? writesForVersion2(limits) : writesForVersion1(limits);
}

/** Documentation/admin-guide/cgroup-v2.rst */
function writesForVersion2(limits: SandboxLimits): ControlWrite[] {
  const text = numbers('max');
  const { cpu, blockIO } = limits.resources;
  const writes: ControlWrite[] = [memoryWrite('memory.max', limits)];
  const swap = ownSwap(limits);
  if (swap !== undefined) {
    // A kernel that keeps no account of swap has no limit for it, and none to use where there is no swap.
    const isOptional = swap < 0 || swap === 0;
    writes.push({ file: 'memory.swap.max', value: text(swap), field: 'memory.swap', isOptional });
  }
  writes.push(...reservationWrite('memory.low', limits, (reservation) => text(reservation)));
  const { shares, quota, period, burst } = cpu ?? {};
  if (shares) writes.push({ file: 'cpu.weight', value: String(weightOfShares(shares)), field: 'cpu.shares' });
  writes.push(...idleWrite(cpu?.idle));
  if (quota) {
    // The kernel keeps the period where only a quota is written.
    const value = period ? `${text(quota)} ${period}` : text(quota);
    writes.push({ file: 'cpu.max', value, field: 'cpu.quota' });
  } else if (period) {
    const value = (current: string): string => `${current.split(' ')[0]} ${period}`;
    writes.push({ file: 'cpu.max', value, field: 'cpu.period' });
  }
  if (burst) writes.push({ file: 'cpu.max.burst', value: text(burst), field: 'cpu.burst' });
  writes.push(...cpusetWrites(limits.resources));
  for (const { device, weight, field } of blockWeights(blockIO)) {
    writes.push({
      file: 'io.weight',
      value: device + ioWeightOfBlockWeight(weight),
      field,
      otherwise: { file: 'io.bfq.weight', value: device + weight },
    });
  }
  for (const { device, rate, name, keys } of throttles(blockIO)) {
    // Rate 0 has ended a limit in version 1.
    writes.push({ file: 'io.max', value: `${device}${keys[0]}=${text(rate || -1)}`, field: `blockIO.${name}` });
  }
  writes.push(...rdmaWrites(limits.resources, 'max'));
  for (const [file, value] of Object.entries(unifiedForHost(limits.resources.unified ?? {}))) {
    writes.push({ file, value, field: `unified["${file}"]` });
  }
  return writes;
}

/** Documentation/admin-guide/cgroup-v1 */
function writesForVersion1(limits: SandboxLimits): ControlWrite[] {
  const text = numbers('-1');
  const { memory, cpu, blockIO, network, unified } = limits.resources;
  const [file] = Object.keys(unifiedForHost(unified ?? {}));
  if (file !== undefined) {
    const message = `linux.resources.unified: ${file} is a file of cgroup v2, and this host has cgroup v1: use the fields of linux.resources instead`;
    throw new CgroupError('CANNOT_LIMIT', message, { file });
  }
  const limit = memoryWrite('memory.limit_in_bytes', limits);
  const writes: ControlWrite[] = [limit];
  const swap = ownSwap(limits);
  if (swap !== undefined) {
    const both = swap < 0 ? swap : swap + limits.vmMemoryBytes + limits.overheadBytes;
    writes.push({
      file: 'memory.memsw.limit_in_bytes',
      value: text(both),
      field: 'memory.swap',
      isOptional: swap <= 0,
    });
  }
  writes.push(...reservationWrite('memory.soft_limit_in_bytes', limits, (reservation) => text(reservation || -1)));
  if (typeof memory?.swappiness === 'number') {
    writes.push({ file: 'memory.swappiness', value: String(memory.swappiness), field: 'memory.swappiness' });
  }
  const { shares, quota, period, burst } = cpu ?? {};
  if (shares) writes.push({ file: 'cpu.shares', value: String(shares), field: 'cpu.shares' });
  writes.push(...idleWrite(cpu?.idle));
  if (period) writes.push({ file: 'cpu.cfs_period_us', value: String(period), field: 'cpu.period' });
  if (quota) writes.push({ file: 'cpu.cfs_quota_us', value: text(quota), field: 'cpu.quota' });
  if (burst) writes.push({ file: 'cpu.cfs_burst_us', value: text(burst), field: 'cpu.burst' });
  writes.push(...cpusetWrites(limits.resources));
  for (const { device, weight, field } of blockWeights(blockIO)) {
    const file = device === '' ? 'weight' : 'weight_device';
    const value = device + weight;
    writes.push({ file: `blkio.${file}`, value, field, otherwise: { file: `blkio.bfq.${file}`, value } });
  }
  for (const { device, rate, name, keys } of throttles(blockIO)) {
    writes.push({ file: `blkio.throttle.${keys[1]}_device`, value: device + text(rate), field: `blockIO.${name}` });
  }
  if (network?.classID) {
    writes.push({ file: 'net_cls.classid', value: String(network.classID), field: 'network.classID' });
  }
  for (const { name, priority } of network?.priorities ?? []) {
    writes.push({ file: 'net_prio.ifpriomap', value: `${name} ${priority}`, field: 'network.priorities' });
  }
  writes.push(...rdmaWrites(limits.resources, String(2 ** 31 - 1)));
  return writes;
}

/** Limits the whole sandbox, whatever the container has asked for: no guest makes its VMM take more. */
function memoryWrite(file: string, { resources, vmMemoryBytes, overheadBytes }: SandboxLimits): ControlWrite {
  const isOptional = !resources.memory?.limit;
  return { file, value: String(vmMemoryBytes + overheadBytes), field: 'memory.limit', isOptional };
}

/** @param text of a reservation; zero is none, which every control group has at first */
function reservationWrite(file: string, { resources: { memory } }: SandboxLimits, text: (bytes: number) => string) {
  const { reservation } = memory ?? {};
  if (typeof reservation !== 'number') return [];
  return [{ file, value: text(reservation), field: 'memory.reservation', isOptional: reservation === 0 }];
}

/**
 * config.json has memory and swap in one number (config-linux, "Memory"). The guest has no swap of its own: what it may take is
 * what of its RAM the host may swap out.
 * @returns bytes of swap alone, negative for no limit; undefined where nothing is said
 */
function ownSwap({ resources: { memory }, vmMemoryBytes }: SandboxLimits): number | undefined {
  const { limit, swap } = memory ?? {};
  const isUnlimited = (limit ?? 0) < 0;
  if (!swap) return isUnlimited ? -1 : undefined;
  if (swap < 0 || swap >= UNLIMITED || isUnlimited) return -1;
  return Math.max(0, swap - (limit || vmMemoryBytes));
}

function idleWrite(idle: number | null | undefined): ControlWrite[] {
  return typeof idle === 'number' ? [{ file: 'cpu.idle', value: String(idle), field: 'cpu.idle' }] : [];
}

function cpusetWrites({ cpu }: HostResources): ControlWrite[] {
  return (['cpus', 'mems'] as const).flatMap((name) => {
    const value = cpu?.[name];
    return value ? [{ file: `cpuset.${name}`, value, field: `cpu.${name}` }] : [];
  });
}

interface BlockWeight {
  /** Its numbers and a blank; empty for all devices. */
  readonly device: string;
  readonly weight: number;
  readonly field: string;
}

function blockWeights(blockIO: HostResources['blockIO']): BlockWeight[] {
  const weights = [
    { device: '', weight: blockIO?.weight, field: 'blockIO.weight' },
    ...(blockIO?.weightDevice ?? []).map(({ major, minor, weight }) => ({
      device: `${major}:${minor} `,
      weight,
      field: 'blockIO.weightDevice',
    })),
  ];
  return weights.flatMap(({ device, weight, field }) => {
    if (!weight) return [];
    if (weight < BLOCK_WEIGHT.min || weight > BLOCK_WEIGHT.max) {
      const message = `linux.resources.${field} is ${weight}; allowed is ${BLOCK_WEIGHT.min} to ${BLOCK_WEIGHT.max}`;
      throw new CgroupError('CANNOT_LIMIT', message, { weight });
    }
    return [{ device, weight, field }];
  });
}

/** Fields of blockIO, and what stands for them in io.max and in the names of blkio.throttle. */
const THROTTLES = [
  ['throttleReadBpsDevice', 'rbps', 'read_bps'],
  ['throttleWriteBpsDevice', 'wbps', 'write_bps'],
  ['throttleReadIOPSDevice', 'riops', 'read_iops'],
  ['throttleWriteIOPSDevice', 'wiops', 'write_iops'],
] as const;

function throttles(blockIO: HostResources['blockIO']) {
  return THROTTLES.flatMap(([name, ...keys]) =>
    (blockIO?.[name] ?? []).map(({ major, minor, rate }: Throttle) => ({
      device: `${major}:${minor} `,
      rate,
      name,
      keys,
    })),
  );
}

function rdmaWrites({ rdma }: HostResources, noLimit: string): ControlWrite[] {
  return Object.entries(rdma ?? {}).map(([device, { hcaHandles, hcaObjects }]) => ({
    file: 'rdma.max',
    value: `${device} hca_handle=${hcaHandles ?? noLimit} hca_object=${hcaObjects ?? noLimit}`,
    field: `rdma.${device}`,
  }));
}
