// What a container, or the pod that it is the sandbox of, may use at most: read from linux.resources of config.json, and from the
// annotations in which CRI-O and containerd tell the sum of a pod's containers.
import { MIB } from '../lib/units.ts';
import type { Annotations } from './annotations.ts';

/** Absent is what is not limited. */
export interface ResourceLimits {
  readonly cpus?: number;
  readonly memoryMib?: number;
}

/** Of linux.resources (OCI runtime-spec 1.2, config-linux.md, "Memory" and "CPU"), as validated; Go writes null for absent. */
type Fields = Readonly<Record<string, unknown>>;

/** containerd's, on the sandbox's container; texts of whole numbers: microseconds and bytes. */
const CONTAINERD = {
  quota: 'io.kubernetes.cri.sandbox-cpu-quota',
  period: 'io.kubernetes.cri.sandbox-cpu-period',
  memory: 'io.kubernetes.cri.sandbox-memory',
} as const;
/** CRI-O's, by the name of today and of before: JSON of CRI's LinuxContainerResources. */
const CRIO = ['pod-linux-resources.crio.io', 'io.kubernetes.cri-o.PodLinuxResources'] as const;

/** cgroup v2, "cpu.max": the period where none is given, microseconds. */
const DEFAULT_PERIOD_US = 100_000;

/** The pod's limits where the annotations tell them, else the container's own. */
export function sandboxLimits(annotations: Annotations, resources: Fields = {}): ResourceLimits {
  return podLimits(annotations) ?? limitsOf(fields(resources['cpu']), fields(resources['memory'])['limit']);
}

/**
 * The limits of a pod, from the annotations of its sandbox's container; undefined where there is none.
 * What is not of the form that these engines write is passed over: it is theirs, and no user's.
 */
function podLimits(annotations: Annotations): ResourceLimits | undefined {
  const crio = CRIO.map((name) => annotations[name]).find((text) => text !== undefined);
  if (crio !== undefined) {
    const told = parseFields(crio);
    return limitsOf({ quota: told['cpu_quota'], period: told['cpu_period'] }, told['memory_limit_in_bytes']);
  }
  const { quota, period, memory } = CONTAINERD;
  if (annotations[quota] === undefined && annotations[memory] === undefined) return undefined;
  const number = (name: string): number => Number(annotations[name] ?? Number.NaN);
  return limitsOf({ quota: number(quota), period: number(period) }, number(memory));
}

/**
 * @param cpu `quota` and `period` in microseconds, `cpus` a list. Shares are weights among containers and limit nothing.
 * @param memory bytes; zero and less is no limit
 */
function limitsOf(cpu: Fields, memory: unknown): ResourceLimits {
  const cpus = cpuLimit(cpu);
  return {
    ...(cpus === undefined ? {} : { cpus }),
    ...(isPositive(memory) ? { memoryMib: Math.ceil(memory / MIB) } : {}),
  };
}

/** Rounded up, so that 1.5 processors' worth of time can be used at all; never more than the cpuset has. */
function cpuLimit({ quota, period, cpus }: Fields): number | undefined {
  const set = typeof cpus === 'string' ? countCpus(cpus) : 0;
  const time = isPositive(quota) ? Math.ceil(quota / (isPositive(period) ? period : DEFAULT_PERIOD_US)) : undefined;
  if (set === 0) return time;
  return Math.min(set, time ?? set);
}

/** How many numbers a list such as `0-3,8` has (cpuset(7), "List format"); 0 for what is none. */
export function countCpus(list: string): number {
  const numbers = new Set<number>();
  for (const part of list.trim().split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    if (match === null) return 0;
    for (let cpu = Number(match[1]); cpu <= Number(match[2] ?? match[1]); cpu++) numbers.add(cpu);
  }
  return numbers.size;
}

/** These are whole numbers: others are not what an engine has written. */
function isPositive(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0;
}

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function parseFields(json: string): Fields {
  try {
    return fields(JSON.parse(json));
  } catch {
    return {};
  }
}
