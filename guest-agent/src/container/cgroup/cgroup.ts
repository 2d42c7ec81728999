// The cgroup of one container: its limits, its devices, and what is done to all its processes at once.
import { decodeUtf8 } from 'tskata-sys';
import { StatusError } from '../../../../src/protocol/status.ts';
import { CGROUP_PARENT } from '../../boot/cgroups.ts';
import type { EventLoop } from '../../event-loop.ts';
import * as abi from '../../linux/abi.gen.ts';
import { call, isErrno } from '../../linux/call.ts';
import { makeDirectory, open, readAll, readText, withFd, writeText } from '../../linux/file.ts';
import { kill } from '../../linux/process.ts';
import type { DeviceRule } from '../config/device-rules.ts';
import type { CgroupWrite, ResourcesPlan } from '../config/resources.ts';
import { DeviceControl } from './device-control.ts';
import { applyWrites, checkUsage } from './limits.ts';
import { lines } from './text.ts';
import { removeCgroups, walkCgroups } from './tree.ts';
import { waitForControl } from './watch.ts';

/** How long processes may take to stand still, and to be gone: they may wait inside the kernel, for a server of files say. */
const FREEZE_TIMEOUT_MS = 5000;
const END_TIMEOUT_MS = 10_000;

/**
 * What a container may make below its cgroup: each one costs memory of the kernel, and time to remove. Enough for a service
 * manager that runs containers with service managers; linux.resources.unified can set others.
 */
const NESTING_LIMITS: readonly (readonly [file: string, value: string])[] = [
  ['cgroup.max.depth', '32'],
  ['cgroup.max.descendants', '4096'],
];

/** Limits that only slow: making a container is not to take longer for them. The others hold from the beginning. */
const THROTTLES: readonly string[] = ['cpu.max', 'cpu.max.burst', 'io.max'];

/** Names the files that belong to whom a cgroup is given (cgroup-v2.rst, "Delegation"). */
const DELEGATE_FILES = '/sys/kernel/cgroup/delegate';

export class Cgroup {
  readonly path: string;
  readonly #devices: DeviceControl;
  readonly #throttles: readonly CgroupWrite[];

  /**
   * Makes the cgroup, with its limits and its devices: no process is in it before they hold. What only slows is tried, and holds
   * after `throttle`.
   * @param owner who may make cgroups in it and move processes between them, but not change its limits; undefined for root
   * @throws StatusError, SystemError; nothing is left then
   */
  constructor(containerId: string, resources: ResourcesPlan, deviceRules: readonly DeviceRule[], owner?: number) {
    this.path = `${CGROUP_PARENT}/${containerId}`;
    // What is left of one whose processes would not end: it is empty by now, or in use.
    removeCgroups(this.path);
    makeDirectory(this.path);
    this.#throttles = resources.writes.filter(({ file }) => THROTTLES.includes(file));
    try {
      for (const [file, value] of NESTING_LIMITS) writeText(`${this.path}/${file}`, value);
      const others = resources.writes.filter((write) => !this.#throttles.includes(write));
      applyWrites(this.path, others);
      const lift = applyWrites(this.path, this.#throttles);
      lift();
      if (owner !== undefined) this.#giveTo(owner);
      this.#devices = new DeviceControl(this.path, deviceRules);
    } catch (error) {
      removeCgroups(this.path);
      throw error;
    }
  }

  /** Lets those limits hold too that make processes slower: as with runc, not before a container is made. @throws StatusError */
  throttle(): void {
    applyWrites(this.path, this.#throttles);
  }

  /**
   * Changes limits: all that are named, or none.
   * @param deviceRules undefined leaves them as they are
   * @throws StatusError
   */
  update(resources: ResourcesPlan, deviceRules: readonly DeviceRule[] | undefined): void {
    if (resources.usageCheck !== undefined) checkUsage(this.path, resources.usageCheck);
    const undo = applyWrites(this.path, resources.writes);
    if (deviceRules === undefined) return;
    try {
      this.#devices.replace(deviceRules);
    } catch (error) {
      undo();
      throw error;
    }
  }

  /** Settles when every process in it and below stands still. @throws StatusError when they do not; they run then */
  async freeze(loop: EventLoop): Promise<void> {
    writeText(`${this.path}/cgroup.freeze`, '1');
    if (await this.#waitForEvent(loop, 'frozen 1', FREEZE_TIMEOUT_MS)) return;
    this.thaw();
    const message = `not all processes could be frozen within ${FREEZE_TIMEOUT_MS / 1000} s: one waits inside the kernel`;
    throw new StatusError('DEADLINE_EXCEEDED', message);
  }

  /** Does nothing when it has been removed. */
  thaw(): void {
    this.#trigger('cgroup.freeze', '0');
  }

  /** Kills every process in it, frozen or not; does nothing when it has been removed. */
  killAll(): void {
    this.#trigger('cgroup.kill', '1');
  }

  /**
   * Sends a signal to every process in it and below.
   * @param isFrozen whether it is to stay so
   */
  signalAll(signal: number, isFrozen: boolean): void {
    if (signal === abi.SIGKILL) {
      this.killAll();
      return;
    }
    // From the moment of this write fork(2) waits in them: no child gets away, and no pid becomes somebody else's.
    if (!isFrozen) this.#trigger('cgroup.freeze', '1');
    try {
      for (const pid of this.processes()) kill(pid, signal);
    } finally {
      if (!isFrozen) this.thaw();
    }
  }

  /** Pids of the processes in it and below. */
  processes(): number[] {
    const pids: number[] = [];
    walkCgroups(this.path, (fd) => pids.push(...processesOf(fd)));
    return pids;
  }

  /** Removes it and those below it, once their processes are gone. @throws SystemError when they do not go */
  async remove(loop: EventLoop): Promise<void> {
    try {
      removeCgroups(this.path);
    } catch (error) {
      if (!isErrno(error, abi.EBUSY)) throw error;
      // A process that was killed is gone a moment later.
      await this.#waitForEvent(loop, 'populated 0', END_TIMEOUT_MS);
      removeCgroups(this.path);
    }
    this.#devices.close();
  }

  #giveTo(uid: number): void {
    for (const name of ['', ...lines(readText(DELEGATE_FILES))]) {
      const path = `${this.path}/${name}`;
      try {
        call('chown', path, abi.SYS_fchownat, abi.AT_FDCWD, path, uid, -1, 0);
      } catch (error) {
        // The list has files of controllers that are not in use.
        if (!isErrno(error, abi.ENOENT)) throw error;
      }
    }
  }

  #trigger(file: string, value: string): void {
    try {
      writeText(`${this.path}/${file}`, value);
    } catch (error) {
      if (!isErrno(error, abi.ENOENT, abi.ENODEV)) throw error;
    }
  }

  #waitForEvent(loop: EventLoop, line: string, timeoutMs: number): Promise<boolean> {
    const isThere = (text: string): boolean => lines(text).includes(line);
    return waitForControl(loop, `${this.path}/cgroup.events`, isThere, timeoutMs);
  }
}

/** Pids of the processes of one cgroup. */
function processesOf(cgroup: number): number[] {
  try {
    const text = withFd(open('cgroup.procs', abi.O_RDONLY, 0, cgroup), (fd) => readAll(fd, 'cgroup.procs'));
    return lines(decodeUtf8(text)).map(Number);
  } catch (error) {
    // A threaded cgroup has threads of processes that another one lists; a removed one has nothing.
    if (isErrno(error, abi.EOPNOTSUPP, abi.ENOENT, abi.ENODEV)) return [];
    throw error;
  }
}
