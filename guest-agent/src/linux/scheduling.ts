// How the kernel shares processors and disks out to this process.
import * as abi from './abi.gen.ts';
import { call, structure } from './call.ts';

/** struct sched_attr (sched_setattr(2)). */
export interface SchedulerAttributes {
  /** SCHED_* */
  readonly policy: number;
  /** SCHED_FLAG_* */
  readonly flags: number;
  /** For SCHED_OTHER and SCHED_BATCH. */
  readonly nice: number;
  /** For SCHED_FIFO and SCHED_RR. */
  readonly priority: number;
  /** For SCHED_DEADLINE, all three in nanoseconds. */
  readonly runtimeNs: number;
  readonly deadlineNs: number;
  readonly periodNs: number;
}

/** @param name of the policy, for the error message @throws SystemError */
export function setScheduler(attributes: SchedulerAttributes, name: string): void {
  const { bytes, view } = structure(abi.SIZEOF_sched_attr);
  view.setUint32(abi.OFFSETOF_sched_attr_size, bytes.length, true);
  view.setUint32(abi.OFFSETOF_sched_attr_sched_policy, attributes.policy, true);
  view.setBigUint64(abi.OFFSETOF_sched_attr_sched_flags, BigInt(attributes.flags), true);
  view.setInt32(abi.OFFSETOF_sched_attr_sched_nice, attributes.nice, true);
  view.setUint32(abi.OFFSETOF_sched_attr_sched_priority, attributes.priority, true);
  view.setBigUint64(abi.OFFSETOF_sched_attr_sched_runtime, BigInt(attributes.runtimeNs), true);
  view.setBigUint64(abi.OFFSETOF_sched_attr_sched_deadline, BigInt(attributes.deadlineNs), true);
  view.setBigUint64(abi.OFFSETOF_sched_attr_sched_period, BigInt(attributes.periodNs), true);
  call('sched_setattr', name, abi.SYS_sched_setattr, 0, bytes, 0);
}

/** ioprio_set(2). @param ioClass IOPRIO_CLASS_* @param name of the class, for the error message @throws SystemError */
export function setIoPriority(ioClass: number, priority: number, name: string): void {
  const value = (ioClass << abi.IOPRIO_CLASS_SHIFT) | priority;
  call('ioprio_set', name, abi.SYS_ioprio_set, abi.IOPRIO_WHO_PROCESS, 0, value);
}

/** Lets this process run on these processors alone. @param list the same as text @throws SystemError */
export function setAffinity(cpus: readonly number[], list: string): void {
  // The kernel takes whole words (sched_setaffinity(2)); a processor that it cannot have is no error beside one that it has.
  const mask = new Uint8Array(Math.ceil((Math.max(...cpus) + 1) / 64) * 8);
  for (const cpu of cpus) mask[cpu >> 3] = (mask[cpu >> 3] ?? 0) | (1 << (cpu & 7));
  call('sched_setaffinity', list, abi.SYS_sched_setaffinity, 0, mask.length, mask);
}

/** personality(2). @param persona PER_* @throws SystemError */
export function setPersonality(persona: number): void {
  call('personality', '', abi.SYS_personality, persona);
}
