// The processes in a control group and below it, and their end.
import { posix } from 'node:path';
import { CgroupError, errnoOf } from './cgroup-error.ts';
import { type ControlFiles, tryRead } from './control-files.ts';

/** What it takes to end processes and to see that they are gone. */
export interface Killer {
  /** Ends a process, whoever it is; one that has ended is no error. */
  kill(pid: number): void;
  /** Lets time pass. */
  sleep(timeMs: number): void;
}

/** A control group and all below it, the innermost first; empty when it is not there. */
export function treeOf(files: ControlFiles, path: string): string[] {
  let names: string[];
  try {
    names = files.children(path);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
  return [...names.flatMap((name) => treeOf(files, posix.join(path, name))), path];
}

/** Pids in it and below. */
export function membersOf(files: ControlFiles, path: string): number[] {
  const pids = treeOf(files, path).flatMap((folder) =>
    (tryRead(files, posix.join(folder, 'cgroup.procs')) ?? '').split('\n').map(Number),
  );
  // 0 stands for processes of other pid namespaces, and for kill(2) for all of ours.
  return pids.filter((pid) => pid > 0);
}

/** Whether nothing in it runs: set by the freezer of version 1, or by cgroup.freeze. */
export function isFrozen(files: ControlFiles, path: string): boolean {
  const state = tryRead(files, posix.join(path, 'freezer.state'))?.trim();
  return state === 'FROZEN' || tryRead(files, posix.join(path, 'cgroup.freeze'))?.trim() === '1';
}

/** How often, and how soon at first, an emptied control group is tried again: 3 s in all. */
const REMOVE_ATTEMPTS = 30;
const REMOVE_RETRY_MS = 10;
const REMOVE_RETRY_MAX_MS = 150;

/**
 * Kills what is in a control group and below, and removes them; one that is not there is no error.
 * @throws CgroupError CANNOT_REMOVE
 */
export function removeTree(files: ControlFiles, path: string, killer: Killer): void {
  for (let attempt = 1; ; attempt++) {
    try {
      for (const folder of treeOf(files, path)) removeOne(files, folder);
      return;
    } catch (cause) {
      // A process that was killed is gone a moment later.
      if (errnoOf(cause) !== 'EBUSY' || attempt === REMOVE_ATTEMPTS) {
        const pids = membersOf(files, path);
        const left = pids.length === 0 ? '' : `: processes ${pids.join(', ')} do not end, though they were killed`;
        const message = `cannot remove the control group ${path} (${errnoOf(cause) ?? cause})${left}`;
        throw new CgroupError('CANNOT_REMOVE', message, { path, attempt }, { cause });
      }
      killMembers(files, path, killer);
      killer.sleep(Math.min(attempt * REMOVE_RETRY_MS, REMOVE_RETRY_MAX_MS));
    }
  }
}

function killMembers(files: ControlFiles, path: string, killer: Killer): void {
  // Version 2 since Linux 5.14: all at once, whatever they fork.
  if (tryWrite(files, posix.join(path, 'cgroup.kill'), '1')) return;
  for (const folder of treeOf(files, path)) tryWrite(files, posix.join(folder, 'freezer.state'), 'THAWED');
  for (const pid of membersOf(files, path)) killer.kill(pid);
}

/** @returns false where there is no such file */
function tryWrite(files: ControlFiles, path: string, value: string): boolean {
  try {
    files.write(path, value);
    return true;
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

function removeOne(files: ControlFiles, path: string): void {
  try {
    files.removeDirectory(path);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ENODEV'].includes(errnoOf(error) ?? '');
}
