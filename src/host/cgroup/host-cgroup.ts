// A sandbox's control groups on the host, from the first folder to the last: made, limited, entered and removed as runc does.
import { posix } from 'node:path';
import { messageOf } from '../../lib/errors.ts';
import { CgroupError, errnoOf, isForbidden } from './cgroup-error.ts';
import { type ControlFiles, KERNEL_FILES, tryRead } from './control-files.ts';
import { type ControlWrite, controlWrites, type SandboxLimits } from './limits.ts';
import { isFrozen, type Killer, membersOf, removeTree } from './members.ts';
import { countOomKill } from './oom-kill.ts';
import type { CgroupPlace, CgroupRecord, SystemdUnit } from './plan.ts';
import { sleepSync } from './sleep.ts';
import { SYSTEMD, type Systemd } from './systemd.ts';
import { writeLimits } from './write-limits.ts';

/** What it works on; tests exchange it. */
export interface CgroupHost extends Killer {
  readonly files: ControlFiles;
  readonly systemd: Systemd;
}

const THIS_HOST: CgroupHost = {
  files: KERNEL_FILES,
  systemd: SYSTEMD,
  sleep: sleepSync,
  kill(pid) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if (errnoOf(error) !== 'ESRCH') throw error;
    }
  },
};

/** Controllers of version 2 whose limits are for whole processes, never for threads (cgroup-v2.rst, "Threads"). */
const DOMAIN_CONTROLLERS = ['memory', 'io', 'hugetlb', 'rdma', 'misc', 'dmem'];

export class HostCgroup {
  #record: CgroupRecord;
  readonly #host: CgroupHost;

  constructor(record: CgroupRecord, host: CgroupHost = THIS_HOST) {
    this.#record = record;
    this.#host = host;
  }

  /** To be kept whenever it has changed: at first, after `claim` and after `make`. */
  get record(): CgroupRecord {
    return this.#record;
  }

  /**
   * Refuses control groups that others use. A folder that is there and empty is taken over, as runc does: what makes the parents
   * may have made it.
   * @throws CgroupError NOT_EMPTY, FROZEN; both texts are runc's
   */
  claim(): void {
    const { files } = this.#host;
    for (const { path } of this.#record.places) {
      const count = membersOf(files, path).length;
      if (count > 0) {
        const message = `container's cgroup is not empty: ${count} process(es) found`;
        throw new CgroupError('NOT_EMPTY', message, { path, count });
      }
      if (isFrozen(files, path)) throw new CgroupError('FROZEN', "container's cgroup unexpectedly frozen", { path });
    }
    this.#record = { ...this.#record, isClaimed: true };
  }

  /**
   * Makes the folders, with their limits. Where systemd makes them that is done when the first process enters.
   * @throws CgroupError CANNOT_MAKE, CANNOT_LIMIT; what was made is for `remove` to remove
   */
  make(limits: SandboxLimits): void {
    const writes = controlWrites(this.#record.version, limits);
    if (this.#record.unit !== undefined) return;
    const places = this.#record.places.filter((place) => this.#makePlace(place, writes));
    this.#record = { ...this.#record, places };
    writeLimits(this.#host.files, this.#record, writes);
  }

  /**
   * Moves a process into them, the first one where systemd makes them of it.
   * @throws CgroupError CANNOT_ENTER, CANNOT_MAKE, CANNOT_LIMIT, SYSTEMD_FAILED
   */
  enterFirst(pid: number, id: string, limits: SandboxLimits): void {
    const { unit, version, places } = this.#record;
    if (unit !== undefined) {
      const writes = controlWrites(version, limits);
      this.#host.systemd.start(unit, id, pid, version, writes);
      // systemd joins those controllers only that it uses itself.
      for (const place of places) this.#makePlace(place, writes);
      writeLimits(this.#host.files, this.#record, writes);
    }
    this.enter(pid);
  }

  /** Moves a process into them, with all its threads; one that has ended is no error. @throws CgroupError CANNOT_ENTER */
  enter(pid: number): void {
    for (const place of this.#record.places) {
      try {
        this.#host.files.write(posix.join(place.path, 'cgroup.procs'), String(pid));
      } catch (cause) {
        if (errnoOf(cause) === 'ESRCH') return;
        if (this.#record.version === 1 && this.#isDispensable(place, cause)) continue;
        const message = `cannot move process ${pid} into the control group ${place.path}: ${whyNotEntered(cause)}`;
        throw new CgroupError('CANNOT_ENTER', message, { path: place.path, pid, errno: errnoOf(cause) }, { cause });
      }
    }
  }

  /** Changes limits: all of them, or none. @throws CgroupError CANNOT_LIMIT, SYSTEMD_FAILED */
  limit(limits: SandboxLimits): void {
    const { unit, version } = this.#record;
    const writes = controlWrites(version, limits);
    const takeBack = writeLimits(this.#host.files, this.#record, writes);
    if (unit === undefined) return;
    try {
      this.#host.systemd.limit(unit, version, writes);
    } catch (error) {
      takeBack();
      throw error;
    }
    // It has rounded some.
    writeLimits(this.#host.files, this.#record, writes);
  }

  /**
   * Has engines know that processes of the container were killed in its guest for want of memory. Version 1 counts events that
   * we cannot cause without harm.
   * @throws Error when the kernel has not counted it
   */
  async countOomKill(): Promise<void> {
    const { version, places } = this.#record;
    if (version === 2) for (const { path } of places) await countOomKill(path, this.#host.files);
  }

  /**
   * Kills what is in them and removes them; what is not there is no error, so it may be done again.
   * @throws CgroupError CANNOT_REMOVE
   */
  remove(): void {
    const { unit, places, isClaimed } = this.#record;
    // Nothing was made yet, and who is there since is somebody else.
    if (!isClaimed) return;
    if (unit !== undefined) this.#stop(unit);
    // The freezer first: nobody ends while it stands still.
    const freezer = places.filter(({ controllers }) => controllers.includes('freezer'));
    for (const { path } of new Set([...freezer, ...places])) removeTree(this.#host.files, path, this.#host);
  }

  #stop(unit: SystemdUnit): void {
    try {
      this.#host.systemd.stop(unit);
    } catch {
      // A systemd that does not answer learns of it when it looks: an empty scope ends by itself.
    }
  }

  /** @returns false when it is done without this one */
  #makePlace(place: CgroupPlace, writes: readonly ControlWrite[]): boolean {
    const { version } = this.#record;
    const asked = writes.filter((write) => write.isOptional !== true);
    try {
      if (version === 2) makeDelegating(this.#host.files, place, asked);
      else if (place.controllers.includes('cpuset')) makeCpuset(this.#host.files, place);
      else makeFolders(place, (path) => this.#host.files.makeDirectory(path));
      return true;
    } catch (cause) {
      if (cause instanceof CgroupError) throw cause;
      if (!this.#isDispensable(place, cause)) throw cannotMake(place, cause);
      // Version 1 has a tree for each controller: a limit finds out itself that its own is missing.
      if (version === 1 || asked.length === 0) return false;
      const message = `rootless needs no limits + no cgrouppath when no permission is granted for cgroups: ${messageOf(cause)}`;
      throw new CgroupError('CANNOT_MAKE', message, { path: place.path }, { cause });
    }
  }

  /**
   * Whether we do without a place that we have no right to: one that the caller has not asked for, or the tree of version 2
   * beside those of version 1. That one has no limits: it is there for who asks which processes belong together.
   */
  #isDispensable({ controllers }: CgroupPlace, cause: unknown): boolean {
    const { version, isOptional } = this.#record;
    return isForbidden(cause) && (isOptional || (version === 1 && controllers.length === 0));
  }
}

/** Makes what is missing of a path, from the mount point down. @param make is called with each folder */
function makeFolders({ mountPoint, path }: CgroupPlace, make: (path: string) => void): void {
  const names = posix.relative(mountPoint, path).split('/');
  for (const index of names.keys()) make(posix.join(mountPoint, ...names.slice(0, index + 1)));
}

/** cgroup-v2.rst, "Controlling Controllers": a controller reaches a control group when all above it pass it on. */
function makeDelegating(files: ControlFiles, place: CgroupPlace, asked: readonly ControlWrite[]): void {
  const pass = (folder: string): void => {
    const names = (tryRead(files, posix.join(folder, 'cgroup.controllers')) ?? '').split(/\s+/).filter(Boolean);
    const passed = (tryRead(files, posix.join(folder, 'cgroup.subtree_control')) ?? '').split(/\s+/);
    // One write each: one that cannot be passed on must not keep the others away. A limit that needs it says so.
    for (const name of names.filter((name) => !passed.includes(name))) {
      try {
        files.write(posix.join(folder, 'cgroup.subtree_control'), `+${name}`);
      } catch {}
    }
  };
  pass(place.mountPoint);
  makeFolders(place, (folder) => {
    files.makeDirectory(folder);
    checkType(files, folder, asked);
    if (folder !== place.path) pass(folder);
  });
}

/** cgroup-v2.rst, "Threads": below processes, or beside threads, there is no place for processes with limits of their own. */
function checkType(files: ControlFiles, folder: string, asked: readonly ControlWrite[]): void {
  const type = tryRead(files, posix.join(folder, 'cgroup.type'))?.trim();
  if (type === undefined || type === 'domain') return;
  const limit = asked.find(({ file }) => DOMAIN_CONTROLLERS.includes(file.split('.')[0] ?? ''));
  const isInvalid = type === 'domain invalid';
  if (limit !== undefined) {
    const state = isInvalid ? 'it is in an invalid state' : `it is in ${type} mode`;
    const reason = isInvalid ? 'a control group above it has processes of its own' : 'its controllers are for threads';
    const message = `cannot enter cgroupv2 ${JSON.stringify(folder)} with domain controllers -- ${state}: ${reason}, so linux.resources.${limit.field} cannot hold there`;
    throw new CgroupError('CANNOT_MAKE', message, { path: folder, type });
  }
  if (isInvalid) files.write(posix.join(folder, 'cgroup.type'), 'threaded');
}

/** cpusets.rst: a new one has no processors and no memory nodes, and takes no process before it has both. */
function makeCpuset(files: ControlFiles, place: CgroupPlace): void {
  makeFolders(place, (folder) => {
    files.makeDirectory(folder);
    for (const file of ['cpuset.cpus', 'cpuset.mems']) {
      const own = posix.join(folder, file);
      if (files.read(own).trim() !== '') continue;
      files.write(own, files.read(posix.join(posix.dirname(folder), file)).trim());
    }
  });
}

function cannotMake({ path }: CgroupPlace, cause: unknown): CgroupError {
  const hint = isForbidden(cause)
    ? ': run as root, or as a user to whom a control group is delegated; with --rootless=true and neither limits nor a cgroupsPath it goes without'
    : '';
  const message = `cannot make the control group ${path}: ${messageOf(cause)}${hint}`;
  return new CgroupError('CANNOT_MAKE', message, { path, errno: errnoOf(cause) }, { cause });
}

function whyNotEntered(cause: unknown): string {
  switch (errnoOf(cause)) {
    case 'EBUSY':
      return 'it passes controllers on to control groups below it, and may have no processes of its own (EBUSY)';
    case 'EOPNOTSUPP':
      return 'it is for threads, or a control group above it has processes of its own (EOPNOTSUPP)';
    case 'ENOENT':
      return 'it has been removed (ENOENT)';
    default:
      return messageOf(cause);
  }
}
