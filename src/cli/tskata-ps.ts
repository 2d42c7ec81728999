// `tskata ps`: the processes of a container, for programs by their pids on the host, for people as their guest has them.
import { type GuestProcessInfo, guestProcesses, hostPids } from '../runtime/ps.ts';
import { RuntimeError } from '../runtime/runtime-error.ts';
import { StateStore } from '../runtime/state-store.ts';
import type { GlobalOptions } from './tskata.ts';
import { print } from './tskata-output.ts';

/** Options of ps(1) that ask for what is shown anyway. */
const SHOWN_ANYWAY = new Set(['-e', '-f', '-A', '-ef', '-fe', '-Af']);

export async function ps(
  globals: GlobalOptions,
  id: string,
  format: string,
  options: readonly string[],
): Promise<void> {
  const store = new StateStore(globals.root);
  store.read(id);
  if (format === 'json') {
    // Go's null is what runc prints where nothing runs.
    await print(`${JSON.stringify((await hostPids(store, id)) ?? null)}\n`);
    return;
  }
  if (format !== 'table') throw new RuntimeError('UNSUPPORTED', 'invalid format option');
  const odd = options.find((option) => !SHOWN_ANYWAY.has(option));
  if (odd !== undefined) {
    const message = `ps option ${JSON.stringify(odd)} is not supported: the processes are in a virtual machine, where ps of this host does not see them; run the container's own with: tskata exec ${id} ps ${options.join(' ')}`;
    throw new RuntimeError('UNSUPPORTED', message, { id });
  }
  const { processes, bootMs } = await guestProcesses(store, id);
  await print(table(processes, bootMs, Date.now()));
}

const HEAD = ['UID', 'PID', 'PPID', 'STAT', 'RSS', 'STIME', 'TIME', 'CMD'];
/** The columns that stand at the right of their width: numbers. */
const RIGHT = new Set(['PID', 'PPID', 'RSS']);

/** As `ps -ef` of the container itself would show them. @param bootMs when its guest started: milliseconds since the Unix epoch */
export function table(processes: readonly GuestProcessInfo[], bootMs: number, nowMs: number): string {
  const pids = new Map(processes.map(({ pid, containerPid }) => [pid, containerPid]));
  const rows = processes.map((process) => [
    String(process.uid),
    String(process.containerPid),
    // A parent outside of the container's pid namespace has no number in it (pid_namespaces(7)).
    String(pids.get(process.parentPid) ?? 0),
    process.state,
    String(process.residentBytes / 1024n),
    startTime(bootMs + Number(process.startTimeUs) / 1000, nowMs),
    processorTime(Number(process.cpuTimeUs) / 1e6),
    // The names of threads of the kernel, and of who has overwritten his arguments, are not told.
    process.commandLine.length === 0 ? '-' : printable(process.commandLine.join(' ')),
  ]);
  const lines = [HEAD, ...rows];
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines.map((line) => `${line.map((cell, column) => padded(cell, column, widths)).join(' ')}\n`).join('');
}

function padded(cell: string, column: number, widths: readonly number[]): string {
  const name = HEAD[column] ?? '';
  if (name === 'CMD') return cell;
  return RIGHT.has(name) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0);
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** As ps has it: the hour of today's processes, the day of older ones. */
function startTime(startMs: number, nowMs: number): string {
  const start = new Date(startMs);
  if (nowMs - startMs < DAY_MS) return start.toTimeString().slice(0, 5);
  return start.toDateString().slice(4, 10).replace(' ', '');
}

function processorTime(seconds: number): string {
  const parts = [seconds / 3600, (seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(Math.trunc(part)).padStart(2, '0')).join(':');
}

/** A process chooses its command line: what would speak to a terminal is shown as a question mark, as ps does. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, '?');
}
