// The container's wishes for processors and disks, carried out on this process.
import { messageOf } from '../../../src/lib/errors.ts';
import { setAffinity, setIoPriority, setScheduler } from '../linux/scheduling.ts';
import type { AffinityPlan, IoPriorityPlan, SchedulerPlan } from './config/scheduling.ts';

/** Needs the capabilities that the process is about to lose. @throws Error with runc's texts */
export function applyScheduling(scheduler: SchedulerPlan | undefined, ioPriority: IoPriorityPlan | undefined): void {
  if (scheduler) attempt('error setting scheduler', () => setScheduler(scheduler, scheduler.name));
  if (ioPriority) {
    const { ioClass, priority, name } = ioPriority;
    attempt('failed to set io priority', () => setIoPriority(ioClass, priority, name));
  }
}

/** @param when before the process is in the container's cgroup, or after @throws Error with runc's texts */
export function applyAffinity(plan: AffinityPlan | undefined, when: 'initial' | 'final'): void {
  const list = plan?.[when];
  if (list) attempt(`error setting ${when} CPU affinity`, () => setAffinity(list.cpus, list.text));
}

function attempt(failure: string, action: () => void): void {
  try {
    action();
  } catch (cause) {
    throw new Error(`${failure}: ${messageOf(cause)}`, { cause });
  }
}
