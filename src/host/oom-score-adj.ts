// How soon the kernel ends a process when memory runs out (process.oomScoreAdj; proc_pid_oom_score_adj(5)).
import { writeFileSync } from 'node:fs';

/**
 * Sets it for a process, and so for the children that it makes from then on.
 * @param isOptional whether a value that we may not set is left at ours, which it has inherited; otherwise that is an error
 * @throws Error EACCES; a process that has ended is no error
 */
export function setOomScoreAdj(pid: number, value: number, isOptional: boolean): void {
  const path = `/proc/${pid}/oom_score_adj`;
  try {
    writeFileSync(path, String(value));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return;
    if (code !== 'EACCES' || !isOptional) throw new Error(explain(pid, value, error), { cause: error });
  }
}

function explain(pid: number, value: number, error: unknown): string {
  const reason = (error as Error).message;
  return `cannot set process.oomScoreAdj to ${value} for process ${pid}: ${reason}: less than the caller's own needs CAP_SYS_RESOURCE`;
}
