// How soon the kernel ends a process when memory runs out (process.oomScoreAdj; proc_pid_oom_score_adj(5)).
import { readFileSync, writeFileSync } from 'node:fs';

/** What became of it: an unprivileged caller cannot go below what it has itself. */
export type OomScoreAdjOutcome = 'set' | 'raised';

/**
 * Sets it for a process, and so for the children that it makes from then on.
 * @param mayRaise whether a value that we may not set becomes the least that we may; otherwise that is an error
 * @throws Error EACCES; a process that has ended is no error
 */
export function setOomScoreAdj(pid: number, value: number, mayRaise: boolean): OomScoreAdjOutcome {
  const path = `/proc/${pid}/oom_score_adj`;
  try {
    writeFileSync(path, String(value));
    return 'set';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return 'set';
    if (code !== 'EACCES' || !mayRaise) throw new Error(explain(pid, value, error), { cause: error });
    // It has inherited ours, which is no more than it may have.
    return Number(readFileSync(path, 'utf8')) > value ? 'raised' : 'set';
  }
}

function explain(pid: number, value: number, error: unknown): string {
  const reason = (error as Error).message;
  return `cannot set process.oomScoreAdj to ${value} for process ${pid}: ${reason}: less than the caller's own needs CAP_SYS_RESOURCE`;
}
