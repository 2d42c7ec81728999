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
  const trace = join(folder, 'trace');
  const options = ['--follow-forks', '--seccomp-bpf', '--quiet=all', '--string-limit=0', '--output', trace];
  const { status } = spawnSync(STRACE, [...options, `--trace=${CALLS.join(',')}`, ...command], { stdio: 'ignore' });
  if (status !== 0) throw new Error(`${command.join(' ')} under strace ended with status ${status}`);
  const work = readTrace(readFileSync(trace, 'utf8'));
  rmSync(trace);
  return work;
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
