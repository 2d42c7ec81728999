// process.scheduler, ioPriority and execCPUAffinity (OCI runtime-spec 1.2, config, "Linux Process"); linux.personality.
import { StatusError } from '../../../../src/protocol/status.ts';
import * as abi from '../../linux/abi.gen.ts';
import type { SchedulerAttributes } from '../../linux/scheduling.ts';
import { type JsonObject, lookUp } from './json.ts';

export interface SchedulerPlan extends SchedulerAttributes {
  readonly name: string;
}

export interface IoPriorityPlan {
  readonly name: string;
  /** IOPRIO_CLASS_* */
  readonly ioClass: number;
  readonly priority: number;
}

/** Processors, as numbers and as the configuration wrote them. */
export interface CpuList {
  readonly text: string;
  readonly cpus: readonly number[];
}

/** Where a process may run that is not the container's own: until it is in the container's cgroup, and from then on. */
export interface AffinityPlan {
  readonly initial: CpuList | undefined;
  readonly final: CpuList | undefined;
}

/** SCHED_ISO, which the specification names too, is reserved in the kernel and not implemented (sched.h). */
const POLICIES: Readonly<Record<string, number>> = {
  SCHED_OTHER: abi.SCHED_NORMAL,
  SCHED_FIFO: abi.SCHED_FIFO,
  SCHED_RR: abi.SCHED_RR,
  SCHED_BATCH: abi.SCHED_BATCH,
  SCHED_IDLE: abi.SCHED_IDLE,
  SCHED_DEADLINE: abi.SCHED_DEADLINE,
};
const FLAGS: Readonly<Record<string, number>> = {
  SCHED_FLAG_RESET_ON_FORK: abi.SCHED_FLAG_RESET_ON_FORK,
  SCHED_FLAG_RECLAIM: abi.SCHED_FLAG_RECLAIM,
  SCHED_FLAG_DL_OVERRUN: abi.SCHED_FLAG_DL_OVERRUN,
  SCHED_FLAG_KEEP_POLICY: abi.SCHED_FLAG_KEEP_POLICY,
  SCHED_FLAG_KEEP_PARAMS: abi.SCHED_FLAG_KEEP_PARAMS,
  SCHED_FLAG_UTIL_CLAMP_MIN: abi.SCHED_FLAG_UTIL_CLAMP_MIN,
  SCHED_FLAG_UTIL_CLAMP_MAX: abi.SCHED_FLAG_UTIL_CLAMP_MAX,
};
const IO_CLASSES: Readonly<Record<string, number>> = {
  IOPRIO_CLASS_RT: abi.IOPRIO_CLASS_RT,
  IOPRIO_CLASS_BE: abi.IOPRIO_CLASS_BE,
  IOPRIO_CLASS_IDLE: abi.IOPRIO_CLASS_IDLE,
};
const PERSONALITIES: Readonly<Record<string, number>> = { LINUX: abi.PER_LINUX, LINUX32: abi.PER_LINUX32 };

/** sched(7): the range of nice values. */
const NICE = { least: -20, greatest: 19 };
/** ioprio.h: eight levels. */
const IO_PRIORITY_MAX = 7;
/** More processors than Linux can have (NR_CPUS). */
const CPU_MAX = 8191;

/** The rules between the fields are runc's. */
export function parseScheduler(process: JsonObject): SchedulerPlan | undefined {
  const scheduler = process.object('scheduler');
  if (scheduler === undefined) return undefined;
  const name = scheduler.requiredString('policy');
  const policy = lookUp(POLICIES, name);
  if (policy === undefined) throw invalid(scheduler, 'policy', `one of ${Object.keys(POLICIES).join(', ')}`);
  const nice = scheduler.number('nice') ?? 0;
  const hasNice = policy === abi.SCHED_NORMAL || policy === abi.SCHED_BATCH;
  if (hasNice && (nice < NICE.least || nice > NICE.greatest)) {
    throw invalid(scheduler, 'nice', `from ${NICE.least} to ${NICE.greatest} with ${name}`);
  }
  const priority = scheduler.number('priority') ?? 0;
  if (priority !== 0 && policy !== abi.SCHED_FIFO && policy !== abi.SCHED_RR) {
    throw invalid(scheduler, 'priority', 'left out: it is for SCHED_FIFO and SCHED_RR');
  }
  const time = (field: string): number => {
    const value = scheduler.number(field) ?? 0;
    if (value < 0) throw invalid(scheduler, field, 'nanoseconds');
    if (value !== 0 && policy !== abi.SCHED_DEADLINE) {
      throw invalid(scheduler, field, 'left out: it is for SCHED_DEADLINE');
    }
    return value;
  };
  let flags = 0;
  for (const flag of scheduler.strings('flags')) {
    const value = lookUp(FLAGS, flag);
    if (value === undefined) throw invalid(scheduler, 'flags', `made of ${Object.keys(FLAGS).join(', ')}`);
    flags |= value;
  }
  const times = { runtimeNs: time('runtime'), deadlineNs: time('deadline'), periodNs: time('period') };
  return { name, policy, nice: hasNice ? nice : 0, priority, flags, ...times };
}

export function parseIoPriority(process: JsonObject): IoPriorityPlan | undefined {
  const object = process.object('ioPriority');
  if (object === undefined) return undefined;
  const name = object.requiredString('class');
  const ioClass = lookUp(IO_CLASSES, name);
  if (ioClass === undefined) throw invalid(object, 'class', `one of ${Object.keys(IO_CLASSES).join(', ')}`);
  const priority = object.number('priority') ?? 0;
  if (priority < 0 || priority > IO_PRIORITY_MAX) throw invalid(object, 'priority', `from 0 to ${IO_PRIORITY_MAX}`);
  return { name, ioClass, priority };
}

export function parseAffinity(process: JsonObject): AffinityPlan | undefined {
  const object = process.object('execCPUAffinity');
  return object && { initial: parseCpuList(object, 'initial'), final: parseCpuList(object, 'final') };
}

/** A list as `0-3,7` (config, "Linux Process"). Absent and empty are the same. */
function parseCpuList(object: JsonObject, field: string): CpuList | undefined {
  const text = object.string(field) ?? '';
  if (text === '') return undefined;
  const cpus: number[] = [];
  for (const part of text.split(',')) {
    const [, first, last = first] = /^\s*(\d{1,4})(?:-(\d{1,4}))?\s*$/.exec(part) ?? [];
    const [from, to] = [Number(first), Number(last)];
    // Also where there is no number: nothing is greater than NaN.
    if (!(from <= to && to <= CPU_MAX)) throw invalid(object, field, 'a list of processors, as 0-3,7');
    for (let cpu = from; cpu <= to; cpu++) cpus.push(cpu);
  }
  return { text, cpus };
}

/** config-linux, "Personality". @returns PER_* */
export function parsePersonality(linux: JsonObject | undefined, warnings: string[]): number | undefined {
  const personality = linux?.object('personality');
  if (personality === undefined) return undefined;
  const persona = lookUp(PERSONALITIES, personality.requiredString('domain'));
  if (persona === undefined) throw invalid(personality, 'domain', Object.keys(PERSONALITIES).join(' or '));
  // "Currently no flag values are supported."
  if (personality.has('flags')) warnings.push('linux.personality.flags is not applied: there are no flags yet');
  return persona;
}

function invalid(object: JsonObject, field: string, allowed: string): StatusError {
  const path = object.pathOf(field);
  return new StatusError('INVALID_ARGUMENT', `config.json: ${path} must be ${allowed}`, { path });
}
