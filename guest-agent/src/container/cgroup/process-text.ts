// What /proc says of a process, which has chosen parts of it.
import { lines } from './text.ts';

/** USER_HZ, the unit of times in /proc, is 100 a second on x86 whatever the kernel's HZ is. */
const MICROSECONDS_PER_TICK = 10_000n;
const PAGE_BYTES = 4096n;

/** What `/proc/PID/stat` has of a process (proc_pid_stat(5)). */
export interface ProcessStat {
  readonly state: string;
  readonly parentPid: number;
  readonly cpuTimeUs: bigint;
  readonly startTimeUs: bigint;
  readonly residentBytes: bigint;
}

/** The name, in parentheses, may hold anything: what follows begins behind the last one. */
export function parseStat(text: string): ProcessStat {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // proc_pid_stat(5) counts from 1, and the first one here is the third.
  const field = (number: number): string => fields[number - 3] ?? '';
  return {
    state: field(3),
    parentPid: Number(field(4)),
    cpuTimeUs: (BigInt(field(14)) + BigInt(field(15))) * MICROSECONDS_PER_TICK,
    startTimeUs: BigInt(field(22)) * MICROSECONDS_PER_TICK,
    residentBytes: BigInt(field(24)) * PAGE_BYTES,
  };
}

/** A line of /proc/PID/status; the kernel writes a line feed in a process's name as "\n". */
export function fieldOf(status: string, name: string): string {
  const line = lines(status).find((candidate) => candidate.startsWith(`${name}:\t`));
  return line?.slice(name.length + 2) ?? '';
}

/** Pids in the agent's pid namespace and, one after the other, in those below it that the process is in. */
export function namespacePids(status: string): number[] {
  return fieldOf(status, 'NSpid').split('\t').map(Number);
}

/** Arguments end with a NUL each; a process may have overwritten them with one text. */
export function parseCommandLine(text: string): string[] {
  if (text === '') return [];
  return (text.endsWith('\0') ? text.slice(0, -1) : text).split('\0');
}
