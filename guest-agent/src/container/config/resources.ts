// linux.resources as files of cgroup v2 (OCI runtime-spec 1.2, config-linux, "Control groups"), mapped as runc maps them
// (libcontainer/cgroups/fs2). What the specification has from cgroup v1 and v2 has not is told by a warning.
import { BLOCK_WEIGHT, ioWeightOfBlockWeight, weightOfShares } from '../../../../src/oci/weights.ts';
import { StatusError } from '../../../../src/protocol/status.ts';
import { type DeviceRule, parseDeviceRules } from './device-rules.ts';
import type { JsonObject } from './json.ts';
import { warn } from './problems.ts';

/** A value that depends on what the cgroup has at the moment. */
export interface DerivedValue {
  /** File to read. */
  readonly of: string;
  /** @throws StatusError */
  derive(current: string): string;
}

/** What is to be written into a file of the cgroup. */
export interface CgroupWrite {
  readonly file: string;
  readonly value: string | DerivedValue;
  /** The field that asks for it, for messages. */
  readonly field: string;
  /** A kernel without this file does what is wanted anyway. */
  readonly optional?: boolean;
}

/** Bytes that must not be in use already for an update to be made; undefined is not asked for. */
export interface UsageCheck {
  readonly limit: number | undefined;
  readonly limitWithSwap: number | undefined;
}

export interface ResourcesPlan {
  /** In the order in which they are to be made. */
  readonly writes: readonly CgroupWrite[];
  /** linux.resources.memory.checkBeforeUpdate */
  readonly usageCheck: UsageCheck | undefined;
  /** In their order; undefined where linux.resources says nothing of devices. */
  readonly deviceRules: readonly DeviceRule[] | undefined;
}

/** What a configuration without linux.resources asks for. */
export const NO_RESOURCES: ResourcesPlan = { writes: [], usageCheck: undefined, deviceRules: undefined };

/** Values from here on mean "no limit" to everybody: they are more than any counter of the kernel holds. */
const UNLIMITED = 2 ** 63;

/** cgroup v2 for "no limit" (Documentation/admin-guide/cgroup-v2.rst). */
const NO_LIMIT = 'max';

function limitText(value: number): string {
  return value < 0 || value >= UNLIMITED ? NO_LIMIT : BigInt(value).toString();
}

/** The files of one group of controls, in order. */
class Writes {
  readonly list: CgroupWrite[] = [];

  add(object: JsonObject, name: string, file: string, value: CgroupWrite['value'], optional = false): void {
    this.list.push({ file, value, field: object.pathOf(name), ...(optional ? { optional } : {}) });
  }
}

/**
 * Reads linux.resources. Zero has always meant "not set" to runc and its callers, but where it says otherwise here.
 * @throws StatusError INVALID_ARGUMENT, naming the field
 */
export function parseResources(resources: JsonObject, warnings: string[]): ResourcesPlan {
  const writes = new Writes();
  const pids = resources.object('pids');
  const pidsLimit = pids?.number('limit');
  if (pids && pidsLimit) writes.add(pids, 'limit', 'pids.max', limitText(pidsLimit));
  const memory = resources.object('memory');
  if (memory) parseMemory(memory, writes, warnings);
  const blockIo = resources.object('blockIO');
  if (blockIo) parseBlockIo(blockIo, writes, warnings);
  const cpu = resources.object('cpu');
  if (cpu) parseCpu(cpu, writes);
  for (const limit of resources.objects('hugepageLimits')) parseHugepageLimit(limit, writes);
  for (const name of ['network', 'rdma']) warn(warnings, resources, name, 'the guest has no such controller');
  const unified = resources.object('unified');
  if (unified) parseUnified(unified, writes);
  return { writes: writes.list, usageCheck: parseUsageCheck(memory), deviceRules: parseDeviceRules(resources) };
}

function parseMemory(memory: JsonObject, writes: Writes, warnings: string[]): void {
  const limit = memory.number('limit') || undefined;
  const swap = memory.number('swap') || undefined;
  // No limit for memory means none for swap either, unless there is one.
  const swapValue =
    swap === undefined ? (limit !== undefined && limit < 0 ? NO_LIMIT : undefined) : ownSwap(swap, limit);
  // A kernel that keeps no account of swap has no limit for it, and none to use where there is no swap device.
  const optional = swapValue === NO_LIMIT || swapValue === '0';
  if (swapValue !== undefined) writes.add(memory, 'swap', 'memory.swap.max', swapValue, optional);
  if (limit !== undefined) writes.add(memory, 'limit', 'memory.max', limitText(limit));
  const reservation = memory.number('reservation');
  if (reservation) writes.add(memory, 'reservation', 'memory.low', limitText(reservation));
  for (const name of ['kernel', 'kernelTCP', 'swappiness']) {
    if (memory.number(name) !== undefined) warn(warnings, memory, name, 'cgroup v2 has no such control');
  }
  if (memory.isPresent('useHierarchy') && !memory.boolean('useHierarchy')) {
    warn(warnings, memory, 'useHierarchy', 'cgroup v2 always counts what is below');
  }
  if (memory.boolean('disableOOMKiller')) {
    warn(warnings, memory, 'disableOOMKiller', 'cgroup v2 cannot do without the OOM killer');
  }
}

/**
 * v1's value is memory and swap together, v2's is swap alone (OCI runtime-spec 1.2, config-linux, "Memory").
 * Where memory is not named, what it has now counts.
 */
function ownSwap(swap: number, limit: number | undefined): CgroupWrite['value'] {
  if (swap < 0 || (limit !== undefined && limit < 0)) return limitText(swap);
  const without = (memory: number): string => {
    if (swap < memory) {
      const message = `memory+swap limit should be >= memory limit: linux.resources.memory.swap is ${swap}, memory has ${memory}`;
      throw new StatusError('INVALID_ARGUMENT', message);
    }
    return limitText(swap >= UNLIMITED ? swap : swap - memory);
  };
  if (limit !== undefined) return without(limit);
  const derive = (current: string): string => {
    if (current.trim() !== NO_LIMIT) return without(Number(current));
    const message = 'unable to set swap limit without memory limit: name linux.resources.memory.limit with the swap';
    throw new StatusError('INVALID_ARGUMENT', message);
  };
  return { of: 'memory.max', derive };
}

function parseUsageCheck(memory: JsonObject | undefined): UsageCheck | undefined {
  if (!memory?.boolean('checkBeforeUpdate')) return undefined;
  const positive = (value: number | undefined): number | undefined => (value && value > 0 ? value : undefined);
  return { limit: positive(memory.number('limit')), limitWithSwap: positive(memory.number('swap')) };
}

function parseCpu(cpu: JsonObject, writes: Writes): void {
  for (const name of ['realtimeRuntime', 'realtimePeriod']) {
    if (!cpu.number(name)) continue;
    const message = `config.json: ${cpu.pathOf(name)} cannot be set: cgroup v2 has no budget for realtime tasks`;
    throw new StatusError('INVALID_ARGUMENT', message);
  }
  const idle = cpu.number('idle');
  const shares = cpu.number('shares');
  // An idle group has no weight that could be set, so its weight comes before it is idle or after.
  if (idle === 0) writes.add(cpu, 'idle', 'cpu.idle', '0');
  if (shares) writes.add(cpu, 'shares', 'cpu.weight', String(weightOfShares(shares)));
  if (idle !== undefined && idle !== 0) writes.add(cpu, 'idle', 'cpu.idle', String(idle));
  const burst = cpu.number('burst');
  const bandwidth = cpuBandwidth(cpu);
  // No burst may be above the quota: it must not stand in the way of a smaller one.
  if (burst !== undefined && bandwidth) writes.add(cpu, 'burst', 'cpu.max.burst', '0');
  if (bandwidth) writes.add(cpu, bandwidth.name, 'cpu.max', bandwidth.value);
  if (burst) writes.add(cpu, 'burst', 'cpu.max.burst', limitText(burst));
  else if (burst === 0 && !bandwidth) writes.add(cpu, 'burst', 'cpu.max.burst', '0');
  for (const name of ['cpus', 'mems']) {
    const value = cpu.string(name);
    if (value) writes.add(cpu, name, `cpuset.${name}`, value);
  }
}

/** cpu.max is "QUOTA PERIOD"; the kernel keeps the period where only a quota is written. */
function cpuBandwidth(cpu: JsonObject): { name: string; value: CgroupWrite['value'] } | undefined {
  const quota = cpu.number('quota');
  const period = cpu.number('period');
  if (quota) return { name: 'quota', value: period ? `${limitText(quota)} ${period}` : limitText(quota) };
  if (!period) return undefined;
  const derive = (current: string): string => `${current.split(' ')[0]} ${period}`;
  return { name: 'period', value: { of: 'cpu.max', derive } };
}

function parseBlockIo(blockIo: JsonObject, writes: Writes, warnings: string[]): void {
  warn(warnings, blockIo, 'leafWeight', 'cgroup v2 has no such control');
  const weight = blockWeight(blockIo);
  if (weight) writes.add(blockIo, 'weight', 'io.weight', String(weight));
  for (const device of blockIo.objects('weightDevice')) {
    warn(warnings, device, 'leafWeight', 'cgroup v2 has no such control');
    const own = blockWeight(device);
    if (own) writes.add(device, 'weight', 'io.weight', `${numberOf(device)} ${own}`);
  }
  if (writes.list.some(({ file }) => file === 'io.weight')) {
    warnings.push(`${blockIo.path}.weight has effect on those devices alone that /sys/fs/cgroup/io.cost.qos enables`);
  }
  for (const [name, key] of [
    ['throttleReadBpsDevice', 'rbps'],
    ['throttleWriteBpsDevice', 'wbps'],
    ['throttleReadIOPSDevice', 'riops'],
    ['throttleWriteIOPSDevice', 'wiops'],
  ] as const) {
    for (const device of blockIo.objects(name)) {
      // Rate 0 has ended a limit in v1.
      const rate = device.requiredNumber('rate') || -1;
      writes.add(device, 'rate', 'io.max', `${numberOf(device)} ${key}=${limitText(rate)}`);
    }
  }
}

function numberOf(device: JsonObject): string {
  return `${device.requiredNumber('major')}:${device.requiredNumber('minor')}`;
}

/** io.weight (1 to 10000) for v1's weight, as runc has it. */
function blockWeight(object: JsonObject): number | undefined {
  const weight = object.number('weight');
  if (!weight) return undefined;
  if (weight < BLOCK_WEIGHT.min || weight > BLOCK_WEIGHT.max) {
    const range = `${BLOCK_WEIGHT.min} to ${BLOCK_WEIGHT.max}`;
    throw new StatusError(
      'INVALID_ARGUMENT',
      `config.json: ${object.pathOf('weight')} is ${weight}; allowed is ${range}`,
    );
  }
  return ioWeightOfBlockWeight(weight);
}

/** config-linux, "Huge page limits": `<size><unit-prefix>B`, as in /sys/kernel/mm/hugepages. */
const PAGE_SIZE = /^[1-9][0-9]*[KMG]B$/;

function parseHugepageLimit(limit: JsonObject, writes: Writes): void {
  const size = limit.requiredString('pageSize');
  if (!PAGE_SIZE.test(size)) {
    const path = limit.pathOf('pageSize');
    throw new StatusError(
      'INVALID_ARGUMENT',
      `config.json: ${path} is ${JSON.stringify(size)}; allowed is the like of 2MB`,
    );
  }
  const bytes = limitText(limit.requiredNumber('limit'));
  writes.add(limit, 'limit', `hugetlb.${size}.max`, bytes);
  // Reservations are counted apart: without this limit a page too many is a SIGBUS instead of a failed mmap.
  writes.add(limit, 'limit', `hugetlb.${size}.rsvd.max`, bytes, true);
}

const CONTROL_FILE = /^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$/;
/** Files of the cgroup itself that only limit; the others (procs, kill, freeze, ...) are what the agent works with. */
const CORE_FILES = ['cgroup.max.depth', 'cgroup.max.descendants', 'cgroup.pressure'];

/** Any file and value, in their order: the kernel judges the value. */
function parseUnified(unified: JsonObject, writes: Writes): void {
  for (const name of unified.names) {
    if (!CONTROL_FILE.test(name) || (name.startsWith('cgroup.') && !CORE_FILES.includes(name))) {
      const message = `config.json: ${unified.path}: ${JSON.stringify(name)} is no control file that can be set: name one like memory.high`;
      throw new StatusError('INVALID_ARGUMENT', message);
    }
    writes.add(unified, name, name, unified.requiredString(name));
  }
}
