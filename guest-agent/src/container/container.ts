// One container: its plan, its cgroup, its processes, and what may be done to it when.

import { messageOf } from '../../../src/lib/errors.ts';
import type {
  ContainerStatsResponse,
  CreateContainerRequest,
  ExecProcessRequest,
  ListProcessesResponse,
  StdioRequest,
  UpdateContainerResponse,
  WaitProcessResponse,
} from '../../../src/protocol/agent.gen.ts';
import type { Caller } from '../../../src/protocol/service.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import * as abi from '../linux/abi.gen.ts';
import { isErrno } from '../linux/call.ts';
import { close, open, withFd } from '../linux/file.ts';
import { type Ending, fork, isCapabilityKnown, openPidFd, setNamespace } from '../linux/process.ts';
import { log } from '../log.ts';
import { Cgroup } from './cgroup/cgroup.ts';
import { OomWatch } from './cgroup/oom-watch.ts';
import { cgroupOwner } from './cgroup/owner.ts';
import { describeProcesses } from './cgroup/processes.ts';
import { containerStats } from './cgroup/read-stats.ts';
import { runExec, runInit } from './child.ts';
import { parseConfig } from './config/container.ts';
import { type DeviceRule, withDefaultRules } from './config/device-rules.ts';
import { parseJsonObject } from './config/json.ts';
import type { ContainerPlan, ProcessPlan } from './config/plan.ts';
import { parseExecProcess } from './config/process.ts';
import { NO_RESOURCES, parseResources } from './config/resources.ts';
import { withMountSources } from './mount-sources.ts';
import {
  closeNamespaces,
  forkIntoNamespaces,
  namespaceFlags,
  type OpenNamespace,
  openNamespaces,
} from './namespaces.ts';
import { settleNamespaces, settleUser } from './outside.ts';
import { ContainerProcess, type ProcessServices } from './process.ts';

const NO_STDIO: StdioRequest = {
  token: '',
  stdin: false,
  stdout: false,
  stderr: false,
  terminal: false,
  terminalRows: 0,
  terminalColumns: 0,
};

/** Where the streams go; the terminal's size is the process object's where the request has none. */
function streamsOf({ stdio = NO_STDIO }: { stdio: StdioRequest | undefined }, plan: ProcessPlan): StdioRequest {
  const size = plan.consoleSize;
  if (size === undefined || stdio.terminalRows !== 0 || stdio.terminalColumns !== 0) return stdio;
  return { ...stdio, terminalRows: size.rows, terminalColumns: size.columns };
}

/** How long processes that were killed may take to end: one may wait inside the kernel. */
const END_TIMEOUT_MS = 10_000;

/** Endings of exec'd processes that are remembered, as agent.proto says (WaitProcess). */
const ENDINGS_MAX = 4096;

/** The init process has the empty id (agent.proto, ExecProcessRequest). */
const INIT_ID = '';

/** The rules for devices that hold for a container: those of its configuration, or others, and what is always allowed. */
function deviceRulesOf(plan: ContainerPlan, rules = plan.resources.deviceRules ?? []): DeviceRule[] {
  const paths = plan.devices.map(({ path }) => path);
  return withDefaultRules(rules, paths);
}

/** What mounts that are made from a disk need, and the container's program must not have. */
const DISKS_TO_MOUNT: DeviceRule = {
  allow: true,
  type: abi.BPF_DEVCG_DEV_BLOCK,
  major: undefined,
  minor: undefined,
  access: abi.BPF_DEVCG_ACC_READ | abi.BPF_DEVCG_ACC_WRITE,
};

function mountsDisk(plan: ContainerPlan): boolean {
  return plan.mounts.some(({ type, source }) => type !== 'bind' && source.startsWith('/dev/'));
}

function notRunning(): StatusError {
  return new StatusError('FAILED_PRECONDITION', 'container not running');
}

export class Container {
  #id: string;
  readonly #services: ProcessServices;
  readonly #plan: ContainerPlan;
  readonly #cgroup: Cgroup;
  /** Processes that run, or whose output is not yet delivered. */
  readonly #processes = new Map<string, ContainerProcess>();
  /** How the others ended, oldest first: health checks make thousands of them in a container's life. */
  readonly #endings = new Map<string, Ending>();
  readonly #init: ContainerProcess;
  /** Names the init process for good, so that no later process can be taken for it. */
  readonly #pidFd: number;
  readonly #oomWatch: OomWatch;
  /** One function for all who wait: there may be thousands. */
  readonly #withKills = (ending: Ending): WaitProcessResponse => {
    this.#oomWatch.check();
    const { kills } = this.#oomWatch;
    return kills === 0n ? ending : { ...ending, oomKills: kills };
  };
  #started = false;
  #freezing: 'no' | 'coming' | 'yes' = 'no';

  private constructor(
    services: ProcessServices,
    request: CreateContainerRequest,
    plan: ContainerPlan,
    joined: readonly OpenNamespace[],
    cgroup: Cgroup,
    oomWatch: OomWatch,
  ) {
    this.#id = request.containerId;
    this.#services = services;
    this.#plan = plan;
    this.#cgroup = cgroup;
    this.#oomWatch = oomWatch;
    const state = { id: this.#id, bundle: request.bundle, annotations: plan.annotations };
    const target = joined.find(({ kind }) => kind === 'cgroup')?.fd;
    this.#init = new ContainerProcess(
      services,
      streamsOf(request, plan.process),
      (descriptors) => {
        return withMountSources(plan, joined.find(({ kind }) => kind === 'user')?.fd, (sources) => {
          const pid = withFd(open(cgroup.path, abi.O_RDONLY | abi.O_DIRECTORY), (cgroupFd) =>
            forkIntoNamespaces(plan.namespaces, joined, cgroupFd),
          );
          if (pid !== 0) return pid;
          return runInit({ ...descriptors, target, sources }, plan, request.rootfsPath, cgroup.path, state);
        });
      },
      (pid, what) => (what === 'entered' ? settleNamespaces(pid, plan) : settleUser(pid, plan.process)),
    );
    this.#processes.set(INIT_ID, this.#init);
    try {
      this.#pidFd = openPidFd(this.#init.pid);
    } catch (error) {
      // It ends when it finds out that nobody talks to it any more.
      this.#init.dispose();
      throw error;
    }
    // Without a pid namespace the others would outlive the init process.
    void this.#init.ended.then(() => cgroup.killAll());
  }

  /** Makes a container, up to the moment before its program runs. @throws StatusError, and nothing is left then */
  static async create(
    services: ProcessServices,
    request: CreateContainerRequest,
  ): Promise<{ container: Container; warnings: readonly string[] }> {
    const { plan, warnings } = parseConfig(request.ociConfigJson, isCapabilityKnown, request.seccomp);
    if (plan.process.terminal !== (request.stdio?.terminal ?? false)) {
      throw new StatusError(
        'INVALID_ARGUMENT',
        'process.terminal of config.json and the request for streams do not agree',
      );
    }
    const joined = openNamespaces(plan.namespaces);
    let container: Container;
    try {
      container = await Container.#make(services, request, plan, joined);
    } finally {
      closeNamespaces(joined);
    }
    try {
      await container.#init.prepare();
      container.#cgroup.throttle();
      if (mountsDisk(plan)) container.#cgroup.update(NO_RESOURCES, deviceRulesOf(plan));
      container.#tellOfEnd(INIT_ID, container.#init);
      return { container, warnings };
    } catch (error) {
      await container.destroy().catch((left) => log(`container ${request.containerId}: ${messageOf(left)}`));
      throw error;
    }
  }

  static async #make(
    services: ProcessServices,
    request: CreateContainerRequest,
    plan: ContainerPlan,
    joined: readonly OpenNamespace[],
  ): Promise<Container> {
    const { containerId } = request;
    const rules = [...deviceRulesOf(plan), ...(mountsDisk(plan) ? [DISKS_TO_MOUNT] : [])];
    const cgroup = new Cgroup(containerId, plan.resources, rules, cgroupOwner(plan));
    let oomWatch: OomWatch | undefined;
    let container: Container | undefined;
    try {
      oomWatch = new OomWatch(services.loop, cgroup.path, (kills) =>
        services.events.emit({
          containerId: container?.id ?? containerId,
          kind: { $case: 'outOfMemory', value: { kills } },
        }),
      );
      container = new Container(services, request, plan, joined, cgroup, oomWatch);
      return container;
    } catch (error) {
      oomWatch?.close();
      cgroup.killAll();
      await cgroup.remove(services.loop);
      throw error;
    }
  }

  get id(): string {
    return this.#id;
  }

  get initPid(): number {
    return this.#init.pid;
  }

  /** Whether its program may still run. */
  get running(): boolean {
    return this.#init.running;
  }

  get started(): boolean {
    return this.#started;
  }

  /** Runs the user's program. @throws StatusError */
  async start(): Promise<void> {
    if (this.#started) throw new StatusError('FAILED_PRECONDITION', `container ${this.id} has been started already`);
    this.#requireRunning();
    if (this.#freezing !== 'no') {
      throw new StatusError('FAILED_PRECONDITION', 'cannot start a container in the paused state');
    }
    this.#started = true;
    await this.#init.execute();
  }

  /** Runs one more process; as with runc also while the init process waits to be started. @throws StatusError */
  async exec(request: ExecProcessRequest): Promise<{ pid: number; warnings: string[] }> {
    this.#requireRunning();
    if (this.#freezing !== 'no' && !request.ignorePaused) {
      throw new StatusError('FAILED_PRECONDITION', 'cannot exec in a paused container');
    }
    const { processId } = request;
    if (this.#processes.has(processId) || this.#endings.has(processId)) {
      throw new StatusError('ALREADY_EXISTS', `container ${this.id} has a process "${processId}" already`);
    }
    const warnings: string[] = [];
    const object = parseJsonObject(request.ociProcessJson, 'the process');
    const plan = parseExecProcess(object, this.#plan.process, warnings, isCapabilityKnown);
    if (plan.terminal !== (request.stdio?.terminal ?? false)) {
      throw new StatusError('INVALID_ARGUMENT', 'process.terminal and the request for streams do not agree');
    }
    const target = {
      pidFd: this.#pidFd,
      namespaceFlags: namespaceFlags(this.#plan.namespaces.keys(), 'pid'),
      hasUserNamespace: this.#plan.userNamespace !== undefined,
      cgroupPath: this.#cgroup.path,
      initPid: this.#init.pid,
    };
    const process = new ContainerProcess(
      this.#services,
      streamsOf(request, plan),
      (descriptors) => {
        const pid = this.#forkInPidNamespace();
        return pid === 0 ? runExec(descriptors, plan, target) : pid;
      },
      (pid) => settleUser(pid, plan),
    );
    this.#processes.set(processId, process);
    try {
      await process.setUp();
    } catch (error) {
      this.#processes.delete(processId);
      process.dispose();
      throw error;
    }
    this.#tellOfEnd(processId, process);
    void process.finished.then((ending) => this.#remember(processId, ending));
    return { pid: process.pid, warnings };
  }

  /** @throws StatusError */
  signal(processId: string, signal: number, all: boolean): void {
    if (all) this.#cgroup.signalAll(signal, this.#freezing !== 'no');
    else this.#process(processId).signal(signal);
  }

  /** Settles when the process has ended. @throws StatusError when there is none of this name; when the caller is gone */
  wait(processId: string, caller: Caller): Promise<WaitProcessResponse> {
    const ending = this.#endings.get(processId);
    if (ending !== undefined) return Promise.resolve(ending);
    const ended = this.#process(processId).wait(caller);
    return processId === INIT_ID ? ended.then(this.#withKills) : ended;
  }

  /** @throws StatusError */
  resize(processId: string, rows: number, columns: number): void {
    if (!this.#process(processId).resize(rows, columns)) {
      throw new StatusError('FAILED_PRECONDITION', `process "${processId}" of container ${this.id} has no terminal`);
    }
  }

  /** @throws StatusError */
  closeStdin(processId: string): void {
    this.#process(processId).closeStdin();
  }

  /** Settles when all its processes stand still; one that was not started may be paused too. @throws StatusError */
  async pause(): Promise<void> {
    this.#requireRunning();
    // runc's words for one that is paused already.
    if (this.#freezing !== 'no') throw notRunning();
    this.#freezing = 'coming';
    try {
      await this.#cgroup.freeze(this.#services.loop);
      this.#freezing = 'yes';
    } catch (error) {
      this.#freezing = 'no';
      throw error;
    }
  }

  /** @throws StatusError */
  resume(): void {
    this.#requireRunning();
    if (this.#freezing !== 'yes') throw new StatusError('FAILED_PRECONDITION', 'container not paused');
    this.#cgroup.thaw();
    this.#freezing = 'no';
  }

  /** Prepares the streams of all its processes for copies that are made of the guest: see `ProcessStreams.hold`. */
  async holdStreams(): Promise<void> {
    await Promise.all([...this.#processes.values()].map((process) => process.holdStreams()));
  }

  releaseStreams(): void {
    for (const process of this.#processes.values()) process.releaseStreams();
  }

  /** It belongs to another host from now on, which knows of no process but its init. */
  adopt(id: string): void {
    this.#requireRunning();
    this.#id = id;
    for (const process of this.#processes.values()) if (process !== this.#init) process.kill();
  }

  /** @param resourcesJson the OCI object linux.resources. @throws StatusError, and all is as it was then */
  update(resourcesJson: string): UpdateContainerResponse {
    this.#requireRunning();
    const warnings: string[] = [];
    const resources = parseResources(parseJsonObject(resourcesJson, 'linux.resources', 'linux.resources'), warnings);
    this.#cgroup.update(resources, resources.deviceRules && deviceRulesOf(this.#plan, resources.deviceRules));
    return { warnings };
  }

  stats(): ContainerStatsResponse {
    return containerStats(this.#cgroup.path, this.running ? this.#init.pid : undefined);
  }

  processes(): ListProcessesResponse {
    return { processes: this.running ? describeProcesses(this.#cgroup.processes(), this.#init.pid) : [] };
  }

  /** Kills what runs and frees everything. @throws StatusError, SystemError when it does not end; that can be tried again */
  async destroy(): Promise<void> {
    const processes = [...this.#processes.values()];
    this.killAll();
    // An exec that is being made may not be in the cgroup yet.
    for (const process of processes) process.kill();
    const ended = Promise.all(processes.map((process) => process.ended));
    if (!(await this.#services.loop.settles(ended, END_TIMEOUT_MS))) {
      const message = `container ${this.id} cannot be deleted yet: a process that was killed waits inside the kernel; try again`;
      throw new StatusError('DEADLINE_EXCEEDED', message);
    }
    // What an exec began at the last moment.
    this.killAll();
    for (const process of processes) process.dispose();
    await this.#cgroup.remove(this.#services.loop);
    close(this.#pidFd);
    this.#oomWatch.close();
  }

  killAll(): void {
    this.#cgroup.killAll();
  }

  /** Tells subscribers of events when the process has ended, and before that if it was for want of memory. */
  #tellOfEnd(processId: string, { pid, ended }: ContainerProcess): void {
    void ended.then(({ exitStatus, signal, coreDumped }) => {
      this.#oomWatch.check();
      const value = { processId, pid, exitStatus, signal, coreDumped };
      this.#services.events.emit({ containerId: this.id, kind: { $case: 'processExited', value } });
    });
  }

  #remember(processId: string, ending: Ending): void {
    this.#processes.get(processId)?.dispose();
    this.#processes.delete(processId);
    this.#endings.set(processId, ending);
    const [oldest] = this.#endings.keys();
    if (this.#endings.size > ENDINGS_MAX && oldest !== undefined) this.#endings.delete(oldest);
  }

  /**
   * A child made while the agent's setting for children is the container's pid namespace is in it from its first moment,
   * and is still the agent's child. (setns(2), CLONE_NEWPID)
   */
  #forkInPidNamespace(): number {
    if (!this.#plan.namespaces.has('pid')) return fork(0);
    return withFd(open('/proc/self/ns/pid', abi.O_RDONLY), (own) => {
      let pid = -1;
      try {
        setNamespace(this.#pidFd, abi.CLONE_NEWPID, "the container's pid namespace");
        pid = fork(0);
        return pid;
      } catch (error) {
        // The init process has ended, and the reaper has not yet been told.
        if (isErrno(error, abi.ESRCH)) throw notRunning();
        throw error;
      } finally {
        if (pid !== 0) setNamespace(own, abi.CLONE_NEWPID, "the agent's pid namespace");
      }
    });
  }

  #process(processId: string): ContainerProcess {
    const process = this.#processes.get(processId);
    if (process !== undefined) return process;
    if (this.#endings.has(processId)) throw new StatusError('FAILED_PRECONDITION', 'os: process already finished');
    throw new StatusError('NOT_FOUND', `no such process: "${processId}" of container ${this.id} does not exist`);
  }

  #requireRunning(): void {
    if (!this.#init.running) throw new StatusError('FAILED_PRECONDITION', 'container not running');
  }
}
