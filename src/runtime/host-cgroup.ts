// A sandbox's share of the host: the control groups that its processes are in, and how soon the kernel ends them when memory runs
// out. What is known of it is in a file of its own, so that it is found whatever becomes of the container's record.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HostCgroup } from '../host/cgroup/host-cgroup.ts';
import { type CgroupLayout, hostLayout } from '../host/cgroup/layout.ts';
import type { SandboxLimits } from '../host/cgroup/limits.ts';
import { type CgroupRecord, planCgroup } from '../host/cgroup/plan.ts';
import { runningSystemd } from '../host/cgroup/systemd.ts';
import { setOomScoreAdj } from '../host/oom-score-adj.ts';
import { MIB } from '../lib/units.ts';
import type { Config } from '../oci/config.ts';
import type { HostResources } from '../oci/resources.ts';
import type { CgroupFlags } from './cgroup-flags.ts';
import type { Warn } from './operations.ts';
import { CGROUP_FILE } from './state-store.ts';

interface HostRecord {
  readonly cgroup: CgroupRecord;
  readonly oomScoreAdj?: number;
  readonly rootless: boolean;
  /** What the processes around the guest may take besides its memory: `host_memory_overhead` of the configuration. */
  readonly overheadMib: number;
}

export class SandboxCgroup {
  readonly #directory: string;
  readonly #record: HostRecord;
  readonly #cgroup: HostCgroup;

  private constructor(directory: string, record: HostRecord) {
    this.#directory = directory;
    this.#record = record;
    this.#cgroup = new HostCgroup(record.cgroup);
  }

  /**
   * Decides where a new sandbox goes; nothing is made yet.
   * @param directory the sandbox's
   * @throws CgroupError NOT_MOUNTED, INVALID_PATH, SYSTEMD_FAILED
   */
  static async plan(
    directory: string,
    id: string,
    { linux, process }: Config,
    { systemdCgroup, rootless, overheadMib }: CgroupFlags & Pick<HostRecord, 'overheadMib'>,
    warn: Warn,
  ): Promise<SandboxCgroup> {
    const systemd = systemdCgroup ? runningSystemd(globalThis.process.geteuid?.() !== 0) : undefined;
    const request = { id, cgroupsPath: linux?.cgroupsPath ?? '', systemd: systemdCgroup, rootless };
    const cgroup = planCgroup(layoutFor(rootless), request, systemd);
    if (systemdCgroup && systemd === undefined) {
      await warn('systemd does not run on this host: the control groups of --systemd-cgroup are made without it');
    }
    return new SandboxCgroup(directory, {
      cgroup,
      ...(typeof process.oomScoreAdj === 'number' ? { oomScoreAdj: process.oomScoreAdj } : {}),
      rootless,
      overheadMib,
    });
  }

  /** @returns undefined when the sandbox has none, or none yet */
  static read(directory: string): SandboxCgroup | undefined {
    let text: string;
    try {
      text = readFileSync(join(directory, CGROUP_FILE), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    return new SandboxCgroup(directory, JSON.parse(text) as HostRecord);
  }

  /**
   * Makes it, with its limits; where systemd makes it, that is done with the first process. Whatever moment we are killed at,
   * `remove` by the file finds what was made.
   * @throws CgroupError
   */
  make(resources: HostResources, vmMemoryMib: number): void {
    this.#cgroup.claim();
    this.#write();
    this.#cgroup.make(this.#limits(resources, vmMemoryMib));
    // Some may have been left out.
    this.#write();
  }

  /** Moves the sandbox process there, before it has children. @throws CgroupError, Error of its OOM score */
  admitSandbox(pid: number, id: string, resources: HostResources, vmMemoryMib: number): void {
    this.#cgroup.enterFirst(pid, id, this.#limits(resources, vmMemoryMib));
    this.#setOomScoreAdj(pid);
  }

  /** Moves a proxy there. @throws CgroupError, Error of its OOM score */
  admit(pid: number): void {
    this.#cgroup.enter(pid);
    this.#setOomScoreAdj(pid);
  }

  /**
   * Sets other limits: all of them, or none.
   * @param resources what linux.resources is from now on; what it does not name stays as it is
   * @param vmMemoryMib what the guest has as RAM from now on
   * @throws CgroupError CANNOT_LIMIT, SYSTEMD_FAILED
   */
  limit(resources: HostResources, vmMemoryMib: number): void {
    this.#cgroup.limit(this.#limits(resources, vmMemoryMib));
  }

  /** Has the host count a kill that the guest made for want of the container's memory. @throws Error when it does not */
  async countOomKill(): Promise<void> {
    await this.#cgroup.countOomKill();
  }

  /** Kills what is left there and removes it; may be done again. @throws CgroupError CANNOT_REMOVE */
  remove(): void {
    this.#cgroup.remove();
  }

  #setOomScoreAdj(pid: number): void {
    const { oomScoreAdj, rootless } = this.#record;
    if (oomScoreAdj !== undefined) setOomScoreAdj(pid, oomScoreAdj, rootless);
  }

  #limits(resources: HostResources, vmMemoryMib: number): SandboxLimits {
    return { resources, vmMemoryBytes: vmMemoryMib * MIB, overheadBytes: this.#record.overheadMib * MIB };
  }

  #write(): void {
    const path = join(this.#directory, CGROUP_FILE);
    writeFileSync(`${path}.new`, JSON.stringify({ ...this.#record, cgroup: this.#cgroup.record }), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }
}

/** A host without control groups is one that gives no rights to them. */
function layoutFor(rootless: boolean): CgroupLayout {
  try {
    return hostLayout();
  } catch (error) {
    if (!rootless) throw error;
    return { version: 2, hierarchies: [] };
  }
}
