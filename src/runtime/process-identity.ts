// A process that can be told from a later one with the same pid.
import { readFileSync } from 'node:fs';
import { SIGKILL } from '../oci/signals.ts';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot (proc_pid_stat(5), field 22). */
  readonly startTime: number;
}

interface Stat extends ProcessIdentity {
  /** One letter: proc_pid_stat(5), field 3. */
  readonly state: string;
}

function readStat(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
  // Field 2 is the program's name in parentheses, and may hold anything: count from behind it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { pid, state: fields[0] ?? '', startTime: Number(fields[19]) };
}

/** Who has this pid now; undefined when nobody has. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  return stat === undefined ? undefined : { pid: stat.pid, startTime: stat.startTime };
}

/** Whether that very process still runs. One that has ended and waits for its parent does not. */
export function isAlive(identity: ProcessIdentity): boolean {
  const stat = readStat(identity.pid);
  return stat !== undefined && stat.startTime === identity.startTime && !/[ZXx]/.test(stat.state);
}

/** Sends a signal to that very process. @returns whether it was there to get it */
export function signalIdentity(identity: ProcessIdentity, signal: number): boolean {
  if (!isAlive(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** How often an end is looked for that nothing announces: the process is not our child. */
const POLL_MS = 5;

/** Waits for its end. @returns whether it came within `timeoutMs` */
export async function waitForEnd(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadlineMs = performance.now() + timeoutMs;
  while (isAlive(identity)) {
    if (performance.now() > deadlineMs) return false;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return true;
}

/** How long the kernel may take to end what was killed. */
const KILL_MS = 10_000;

/** Kills that very process. @returns whether it has ended since */
export async function endProcess(identity: ProcessIdentity): Promise<boolean> {
  signalIdentity(identity, SIGKILL);
  return await waitForEnd(identity, KILL_MS);
}
