// The cgroup of one container.
import { messageOf } from '../../../src/lib/errors.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import { CGROUP_PARENT } from '../boot/cgroups.ts';
import type { EventLoop } from '../event-loop.ts';
import * as abi from '../linux/abi.gen.ts';
import { isErrno } from '../linux/call.ts';
import { listDirectory, makeDirectory, readText, removeDirectory, writeText } from '../linux/file.ts';
import { kill } from '../linux/process.ts';

/** A cgroup whose last process was killed becomes empty a moment later. */
const REMOVE_INTERVAL_MS = 5;
const REMOVE_ATTEMPTS = 400;

export class Cgroup {
  readonly path: string;

  /** Makes the cgroup. @param files what to write into it, see `ContainerPlan.cgroupFiles` */
  constructor(containerId: string, files: readonly (readonly [file: string, value: string])[]) {
    this.path = `${CGROUP_PARENT}/${containerId}`;
    makeDirectory(this.path);
    for (const [file, value] of files) {
      try {
        writeText(`${this.path}/${file}`, value);
      } catch (cause) {
        removeDirectory(this.path);
        const message = `the limit ${file}=${value} of container ${containerId} cannot be set: ${messageOf(cause)}`;
        throw new StatusError('FAILED_PRECONDITION', message, {}, { cause });
      }
    }
  }

  /** Kills every process in it; does nothing when it has been removed. */
  killAll(): void {
    try {
      writeText(`${this.path}/cgroup.kill`, '1');
    } catch (error) {
      if (!isErrno(error, abi.ENOENT, abi.ENODEV)) throw error;
    }
  }

  /** Sends a signal to every process in it and below. */
  signalAll(signal: number): void {
    if (signal === abi.SIGKILL) this.killAll();
    else for (const pid of processesOf(this.path)) kill(pid, signal);
  }

  /** Removes it and those below it, once their processes are gone. @throws SystemError when they do not go */
  async remove(loop: EventLoop): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        removeTree(this.path);
        return;
      } catch (error) {
        if (isErrno(error, abi.ENOENT)) return;
        if (!isErrno(error, abi.EBUSY) || attempt >= REMOVE_ATTEMPTS) throw error;
      }
      await loop.delay(REMOVE_INTERVAL_MS);
    }
  }
}

/** cgroups below a cgroup: the directories in it. Its files have a dot in their names, and a cgroup made by a container may too. */
function childrenOf(path: string): string[] {
  return listDirectory(path)
    .map((name) => `${path}/${name}`)
    .filter((child) => isCgroup(child));
}

function isCgroup(path: string): boolean {
  try {
    readText(`${path}/cgroup.type`);
    return true;
  } catch (error) {
    if (isErrno(error, abi.ENOENT, abi.ENOTDIR)) return false;
    throw error;
  }
}

function processesOf(path: string): number[] {
  const own = readText(`${path}/cgroup.procs`)
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);
  return [...own, ...childrenOf(path).flatMap((child) => processesOf(child))];
}

function removeTree(path: string): void {
  for (const child of childrenOf(path)) removeTree(child);
  removeDirectory(path);
}
