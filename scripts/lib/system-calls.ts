// What a command does to the machine, by the kernel's own account: processes, programs and bytes, of all that descends from it.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

export interface Work {
  /** Made by fork(2) and its like; threads are none. */
  readonly processes: number;
  /** Programs started. */
  readonly executions: number;
  /** To files, pipes and sockets. */
  readonly bytesWritten: number;
}

const STRACE = '/usr/bin/strace';
const WRITES = ['write', 'pwrite64', 'writev', 'pwritev', 'pwritev2', 'sendto', 'sendmsg'];
const CALLS = ['execve', 'execveat', 'fork', 'vfork', 'clone', 'clone3', ...WRITES];

/**
 * Runs a command and counts; ends when its last descendant does.
 * @returns undefined where there is no strace
 * @throws Error when the command fails
 */
export function countWork(command: readonly string[], folder: string): Work | undefined {
  if (!existsSync(STRACE)) return undefined;
  return readTrace(traceCalls(command, folder, ['--string-limit=0', `--trace=${CALLS.join(',')}`]));
}

/**
 * Runs a command under strace, until its last descendant has ended.
 * @param options which calls are traced, and how they are shown
 * @returns what strace has written
 * @throws Error when the command fails
 */
export function traceCalls(command: readonly string[], folder: string, options: readonly string[]): string {
  const path = join(folder, 'trace');
  const common = ['--follow-forks', '--seccomp-bpf', '--quiet=all', '--output', path];
  const { status } = spawnSync(STRACE, [...common, ...options, ...command], { stdio: 'ignore' });
  if (status !== 0) throw new Error(`${command.join(' ')} under strace ended with status ${status}`);
  const trace = readFileSync(path, 'utf8');
  rmSync(path);
  return trace;
}

/** `PID call(arguments) = result`; two lines where another process came between. */
const LINE = /^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$/;
const UNFINISHED = /<unfinished \.\.\.>$/;
const RESULT = /= (-?\d+)[^=]*$/;

/** Reads what strace has written. */
export function readTrace(trace: string): Work {
  const begun = new Map<string, string>();
  const work = { processes: 0, executions: 0, bytesWritten: 0 };
  for (const line of trace.split('\n')) {
    const [, pid = '', resumed, entered, rest = ''] = LINE.exec(line) ?? [];
    const name = resumed ?? entered;
    if (name === undefined) continue;
    const text = `${resumed === undefined ? '' : (begun.get(pid) ?? '')}${rest}`;
    if (UNFINISHED.test(rest)) {
      begun.set(pid, text);
      continue;
    }
    const result = Number(RESULT.exec(rest)?.[1] ?? -1);
    if (result < 0) continue;
    if (name.startsWith('exec')) work.executions++;
    else if (WRITES.includes(name)) work.bytesWritten += result;
    else if (!text.includes('CLONE_THREAD')) work.processes++;
  }
  return work;
}
