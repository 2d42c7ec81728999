// Makes a kill that happened in a guest count on the host. Engines learn that a container was out of memory from the control group
// of its process on the host alone (`oom_kill` of memory.events), and only the kernel writes there: when it kills. So it is given
// somebody to kill.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { MIB } from '../../lib/units.ts';
import { type ControlFiles, KERNEL_FILES, tryRead } from './control-files.ts';

/** What others in the control group may take until the limits are as they were, bytes. */
const HEADROOM = 32 * MIB;

/** What the victim may take at most, KiB: the headroom, and what the kernel finds to reclaim before it kills. */
const VICTIM_KIB = 2 * 1024 * 1024;

/**
 * The victim: it moves to the control group, goes to the front of those who may be killed (proc_pid_oom_score_adj(5)), and takes
 * memory: a line without an end.
 */
const VICTIM = `echo $$ >"$0/cgroup.procs" && echo 1000 >/proc/self/oom_score_adj && ulimit -v ${VICTIM_KIB} && exec /usr/bin/tail /dev/zero`;

/** Limits that are set for the moment: no group is killed as a whole, nobody is swapped out for this (cgroup-v2.rst, "Memory"). */
const MOMENTARY = [
  ['memory.oom.group', '0'],
  ['memory.swap.max', '0'],
] as const;

/**
 * Has the kernel count one more kill in a control group of version 2 that has the memory controller.
 * @param path of its folder
 * @throws Error when nothing was counted; limits are as they were in any case
 */
export async function countOomKill(path: string, files: ControlFiles = KERNEL_FILES): Promise<void> {
  const before = countKills(files, path);
  using undo = new DisposableStack();
  const set = (file: string, value: string): void => {
    const old = tryRead(files, join(path, file))?.trim();
    if (old === undefined) return;
    undo.defer(() => files.write(join(path, file), old));
    files.write(join(path, file), value);
  };
  for (const [file, value] of MOMENTARY) set(file, value);
  const limit = Number(files.read(join(path, 'memory.current'))) + HEADROOM;
  const old = files.read(join(path, 'memory.max')).trim();
  if (old === 'max' || Number(old) > limit) set('memory.max', String(limit));

  const victim = spawn('/bin/sh', ['-c', VICTIM, path], { stdio: 'ignore', env: {} });
  const [status, signal] = await once(victim, 'close');
  if (countKills(files, path) > before) return;
  throw new Error(`the kernel has killed nobody in ${path}; the victim has ended with ${signal ?? `status ${status}`}`);
}

function countKills(files: ControlFiles, path: string): number {
  const text = files.read(join(path, 'memory.events'));
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);
}
