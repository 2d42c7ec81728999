// What an update of linux.resources means beside what a container has (OCI runtime-spec 1.2, config-linux.md, "Control groups").
// As with runc, what is not named stays, and zero is not named where it could mean nothing else.
import type { HostResources } from './resources.ts';
import { UpdateError } from './update-error.ts';

type Group = Readonly<Record<string, unknown>>;
/** An object linux.resources. */
export type Resources = HostResources & Group;

/** Fields whose zero, empty text or false is a value like any other. */
const ZERO_COUNTS: ReadonlySet<string> = new Set([
  'cpu.idle',
  'cpu.burst',
  'memory.checkBeforeUpdate',
  'memory.swappiness',
  'memory.disableOOMKiller',
]);
/** The container's devices are no limits: runc's update leaves them alone too. */
const NO_LIMITS: ReadonlySet<string> = new Set(['devices']);

/**
 * What of an object linux.resources says anything; groups that say nothing are left out.
 * @param resources of the types that validate-resources.ts has checked
 */
export function namedResources(resources: Resources): Resources {
  const groups = Object.entries(resources).flatMap(([name, group]): [string, unknown][] => {
    if (NO_LIMITS.has(name)) return [];
    const named = Array.isArray(group) ? group : namedFields(name, group);
    return Object.keys(named).length === 0 ? [] : [[name, named]];
  });
  return Object.fromEntries(groups);
}

function namedFields(groupName: string, group: unknown): Group {
  if (typeof group !== 'object' || group === null) return {};
  const isNamed = ([name, value]: [string, unknown]): boolean => {
    if (value === null || value === undefined) return false;
    if (Array.isArray(value)) return value.length > 0;
    // A file's text may well be empty, or "0".
    return groupName === 'unified' || Boolean(value) || ZERO_COUNTS.has(`${groupName}.${name}`);
  };
  return Object.fromEntries(Object.entries(group).filter(isNamed));
}

/** Both together; what `change` names counts. Lists have an item for each device, page size or interface. */
export function mergeResources<T extends Group>(kept: T, change: T): T {
  const merge = (old: unknown, value: unknown): unknown => {
    if (Array.isArray(value)) return mergeLists(Array.isArray(old) ? old : [], value);
    if (typeof value !== 'object' || value === null || typeof old !== 'object' || old === null) return value;
    return mergeResources(old as Group, value as Group);
  };
  const merged = Object.entries(change).map(([name, value]) => [name, merge(kept[name], value)]);
  return { ...kept, ...Object.fromEntries(merged) };
}

/** An item of one of the lists. */
interface ListItem {
  readonly major?: number;
  readonly minor?: number;
  readonly pageSize?: string;
  readonly name?: string;
}

function keyOf({ major, minor, pageSize, name }: ListItem): string {
  return pageSize ?? name ?? `${major}:${minor}`;
}

function mergeLists(old: readonly ListItem[], change: readonly ListItem[]): ListItem[] {
  const items = new Map([...old, ...change].map((item) => [keyOf(item), item]));
  return [...items.values()];
}

/**
 * What is to be set so that `change` holds beside `kept`: with limits that depend on each other all of them are named, as the
 * control groups of version 2 cannot tell what they are (memory and swap are one number here, quota and burst have an order).
 * @param kept what the container has; both as `namedResources` gives them
 * @throws UpdateError for limits that contradict each other
 */
export function effectiveUpdate(kept: Resources, change: Resources): Resources {
  const memory: Group | null | undefined = change.memory;
  const cpu: Group | null | undefined = change.cpu;
  const together = (names: readonly string[], group: 'memory' | 'cpu'): Group => {
    const both: Group = { ...kept[group], ...change[group] };
    return Object.fromEntries(names.filter((name) => both[name] !== undefined).map((name) => [name, both[name]]));
  };
  return {
    ...change,
    ...(memory ? { memory: effectiveMemory(memory, together(MEMORY_LIMITS, 'memory')) } : {}),
    ...(cpu && BANDWIDTH.some((name) => cpu[name] !== undefined)
      ? { cpu: { ...cpu, ...together(BANDWIDTH, 'cpu') } }
      : {}),
  };
}

const MEMORY_LIMITS = ['limit', 'swap', 'reservation', 'checkBeforeUpdate'];
const BANDWIDTH = ['quota', 'period', 'burst'];

function effectiveMemory(change: Group, all: Group): Group {
  const { limit = 0, swap = 0 } = all as { readonly limit?: number; readonly swap?: number };
  // As runc has it since cgroup v1: without a limit for memory there is none for both together either.
  if (limit === -1 && !change['swap']) return { ...change, ...all, swap: -1 };
  if (swap > 0 && limit !== -1) {
    if (limit === 0) throw new UpdateError('unable to set swap limit without memory limit');
    if (limit < 0) throw new UpdateError(`invalid memory value: ${limit}`);
    if (swap < limit) throw new UpdateError('memory+swap limit should be >= memory limit');
  }
  return { ...change, ...all };
}

/** What a new control group has (Documentation/admin-guide/cgroup-v2.rst), in the words of linux.resources. */
const DEFAULTS: Readonly<Record<string, Group>> = {
  memory: { limit: -1, swap: -1, reservation: 0 },
  cpu: { quota: -1, period: 100_000, burst: 0, shares: 1024, idle: 0 },
  pids: { limit: -1 },
};
/** 64 bits, and so no limit, where -1 is none that may be written. */
const NO_LIMIT = 2 ** 63;

/**
 * What takes an update back.
 * @param kept as before it @param update as `effectiveUpdate` gave it
 */
export function undoOf(kept: Resources, update: Resources): Resources {
  const groups = Object.entries(update).map(([name, value]): [string, unknown] => {
    const old = (kept[name] ?? {}) as Group;
    if (name === 'hugepageLimits') return [name, oldPageLimits(old, value as readonly ListItem[])];
    const defaults = name === 'unified' ? defaultFiles(Object.keys(value as Group)) : (DEFAULTS[name] ?? {});
    const names = Object.keys(value as Group).filter((field) => field !== 'checkBeforeUpdate');
    const fields = names.map((field) => [field, old[field] ?? defaults[field]]);
    return [name, Object.fromEntries(fields.filter(([, value]) => value !== undefined))];
  });
  const undo: Resources = Object.fromEntries(groups);
  if (!update.memory?.reservation || kept.memory?.reservation) return undo;
  // Zero says nothing to a guest.
  return { ...undo, unified: { 'memory.low': '0', ...undo.unified } };
}

function oldPageLimits(old: unknown, change: readonly ListItem[]): readonly ListItem[] {
  const none = change.map(({ pageSize = '' }) => ({ pageSize, limit: NO_LIMIT }));
  return mergeLists(none, Array.isArray(old) ? old : []);
}

/** Of files of control groups whose names tell what they have at first. */
function defaultFiles(names: readonly string[]): Group {
  return Object.fromEntries(
    names.flatMap((name) => {
      if (/\.(max|high)$/.test(name)) return [[name, 'max']];
      return /\.(min|low)$/.test(name) ? [[name, '0']] : [];
    }),
  );
}
