// The containers of one VM, and what the verbs and the proxies ask of them. Knows no sockets: sandbox-process.ts serves it.
//
// The callers' sequence: `create` calls CreateContainer and starts a proxy, which attaches with the token that CreateContainer
// named; `start` calls StartContainer; `exec` calls ExecProcess and starts a proxy likewise. A process's exit in the guest goes to
// its proxy, which ends when it has passed all output on; the end of the last proxy ends the VM.
import type { AgentClient } from '../agent-client/agent-client.ts';
import { randomHex } from '../host/random.ts';
import { messageOf } from '../lib/errors.ts';
import type { NamespaceType, Process } from '../oci/config.ts';
import {
  type GuestPlan,
  namespacePath,
  planForGuest,
  rootfsTarget,
  type SharedNamespaces,
} from '../oci/guest-config.ts';
import { devicesForGuest, type HostDisk } from '../oci/guest-devices.ts';
import { SIGKILL, statusOfSignal } from '../oci/signals.ts';
import { SHARED_DIRECTORY } from '../protocol/agent-service.ts';
import type {
  CheckpointRequest,
  CreateContainerRequest,
  ExecProcessRequest,
  RestoreContainerRequest,
} from '../protocol/sandbox.gen.ts';
import { StatusError } from '../protocol/status.ts';
import type { TimelineMarkName } from '../vmm/timeline.ts';
import { type Bundle, readBundle } from './bundle.ts';
import type { SavedContainer } from './checkpoint-folder.ts';
import type { HeldMounts } from './held-mounts.ts';
import { mountsOfDisks, type PlacedDisk, placeDisks } from './host-disks.ts';
import { ProxyTokens } from './proxy-tokens.ts';
import type { SandboxNetwork } from './sandbox-network.ts';

/** A proxy as the sandbox sees it. */
export interface AttachedProxy {
  /** On the host. */
  readonly pid: number;
  /** Tells it the status of its process, 0 to 255. */
  exit(status: number): void;
}

/** A process in the guest for which there is, or shall be, a proxy. */
export interface GuestProcess {
  readonly containerId: string;
  /** The agent's name of it: empty for the container's init. */
  readonly processId: string;
  proxy?: AttachedProxy;
  /** What it ended with, once it has. */
  exitStatus?: number;
}

interface Container {
  readonly init: GuestProcess;
  /** How it was made: what names its streams, and whether they are a terminal. */
  readonly stdioToken: string;
  readonly terminal: boolean;
  /** What its part of the shared folder is called. */
  readonly sharedName: string;
  /** Whether it is paused, its streams held, until its start: it is from a snapshot. */
  readonly isSaved: boolean;
  /** The pid of its init in the guest, once it is made; settles when that is tried. */
  readonly made: Promise<number>;
  /** Those that run, or whose output is still passed on. */
  readonly execs: Set<GuestProcess>;
}

export interface SandboxEnvironment {
  /** The agent, once it answers. Rejects when the VM ends before. */
  readonly agent: Promise<AgentClient>;
  /** What the VM was given of the host's disks. */
  readonly disks: readonly HostDisk[];
  readonly mounts: {
    add(containerId: string, bundle: Bundle, shares: GuestPlan['shares'], held: HeldMounts['paths']): void;
    remove(containerId: string): void;
  };
  /** Takes a network of the host for the VM, which runs; a VM without network cards has none. @param path of its namespace */
  readonly openNetwork: (path: string, agent: AgentClient) => SandboxNetwork | undefined;
  /** Has engines know that the guest has killed processes of a container for want of memory. */
  readonly countOomKill: (containerId: string) => Promise<void>;
  /** Writes a checkpoint to a folder. */
  readonly save: (directory: string, container: SavedContainer) => Promise<void>;
  readonly mark: (name: TimelineMarkName, monotonicNs?: bigint) => void;
  readonly warn: (message: string) => void;
  /** Called when nothing is left to run. */
  readonly onEmpty: () => void;
}

export class Sandbox {
  readonly #environment: SandboxEnvironment;
  readonly #containers = new Map<string, Container>();
  readonly #tokens = new ProxyTokens<GuestProcess>();
  /** In the copy of a VM the names that its last sandbox gave are taken. */
  readonly #execPrefix = `exec-${randomHex(4)}`;
  #execCount = 0;
  #network: SandboxNetwork | undefined;

  constructor(environment: SandboxEnvironment) {
    this.#environment = environment;
  }

  /** Makes a container up to the last moment before its program runs. @returns the pid of its init in the guest */
  async create(request: CreateContainerRequest): Promise<number> {
    return await this.#add({ ...request, sharedName: request.containerId, isSaved: false }, (init) =>
      this.#make(request, init),
    );
  }

  /** Takes over the container of a VM that was made from a snapshot. @returns the pid of its init in the guest */
  async restore(request: RestoreContainerRequest): Promise<number> {
    return await this.#add({ ...request, isSaved: true }, (init) => this.#adopt(request, init));
  }

  /** Lets a container's program run, or go on. */
  async start(id: string): Promise<void> {
    const { isSaved } = this.#find(id);
    const agent = await this.#environment.agent;
    // Some engines make interfaces between creation and start.
    await this.#network?.update();
    // Before the call: the program's first output may be here before the call's answer.
    this.#environment.mark('container-started');
    if (isSaved) await goOn(agent, id);
    else await agent.call('StartContainer', { containerId: id });
  }

  /**
   * Saves a container with its VM, paused. Then it is killed, or goes on; when it could not be saved, it goes on.
   * @throws StatusError, and what kept it from being saved (rejects)
   */
  async checkpoint(request: CheckpointRequest): Promise<void> {
    const { containerId: id, directory, isPaused, leaveRunning, vmMemoryMib } = request;
    const { stdioToken, terminal, sharedName } = this.#findRunning(id);
    const agent = await this.#environment.agent;
    const resume = (): Promise<void> => (isPaused ? release(agent, id) : goOn(agent, id));
    if (!isPaused) await agent.call('PauseContainer', { containerId: id });
    try {
      await agent.call('HoldStreams', { containerId: id });
      await this.#environment.save(directory, { containerId: id, sharedName, stdioToken, terminal, vmMemoryMib });
    } catch (error) {
      await resume().catch((reason) => this.#environment.warn(`container ${id} does not go on: ${messageOf(reason)}`));
      throw error;
    }
    if (leaveRunning) await resume();
    else {
      // Before it could write what its copy will write too.
      await agent.call('SignalProcess', { containerId: id, processId: '', signal: SIGKILL, all: true });
      await release(agent, id);
    }
  }

  /** Runs one more process in a container, once its proxy is there. @returns its pid in the guest */
  async exec(request: ExecProcessRequest): Promise<number> {
    const { containerId, stdioToken: token } = request;
    const { execs } = this.#findRunning(containerId);
    const process: GuestProcess = { containerId, processId: `${this.#execPrefix}-${++this.#execCount}` };
    execs.add(process);
    try {
      await this.#tokens.arrival(token);
      return await this.#tokens.fulfil(token, process, () => this.#exec(request, process));
    } catch (error) {
      execs.delete(process);
      throw error;
    }
  }

  async signal(id: string, signal: number, all: boolean): Promise<void> {
    this.#findRunning(id);
    const agent = await this.#environment.agent;
    await agent.call('SignalProcess', { containerId: id, processId: '', signal, all });
  }

  /** Forgets a container; the last one ends the VM. */
  async delete(id: string, force: boolean): Promise<void> {
    // Whoever asked for it may be gone: half of a container cannot be deleted.
    await this.#find(id).made.catch(() => {});
    this.#find(id);
    const agent = await this.#environment.agent;
    await agent.call('DeleteContainer', { containerId: id, force });
    this.#environment.mounts.remove(id);
    this.#containers.delete(id);
    if (this.#containers.size === 0) this.#environment.onEmpty();
  }

  /** Pids on the host of the proxies that stand for a container's processes, the init's first. */
  proxies(id: string): number[] {
    const { init, execs } = this.#find(id);
    return [init, ...execs].flatMap(({ proxy }) => (proxy === undefined ? [] : [proxy.pid]));
  }

  /**
   * A proxy asks to stand for the process with this token.
   * @returns the process, once it is made
   * @throws why it could not be made; or that the token has its proxy already
   */
  async attach(token: string, proxy: AttachedProxy): Promise<GuestProcess> {
    const process = await this.#tokens.claim(token);
    process.proxy = proxy;
    return process;
  }

  /** Called after the proxy was told that it is attached. */
  attached(process: GuestProcess): void {
    if (process.exitStatus !== undefined) process.proxy?.exit(process.exitStatus);
  }

  /** The proxy passes a signal on that it was sent. */
  forwardSignal(process: GuestProcess, signal: number): void {
    const { containerId, processId } = process;
    this.#toProcess(process, (agent) => agent.call('SignalProcess', { containerId, processId, signal, all: false }));
  }

  resize(process: GuestProcess, rows: number, columns: number): void {
    const { containerId, processId } = process;
    this.#toProcess(process, (agent) => agent.call('ResizeTerminal', { containerId, processId, rows, columns }));
  }

  /** The proxy with this token is gone, whether it had been attached or not. */
  forget(token: string): void {
    this.#tokens.forget(token);
  }

  /** The proxy is gone: after its process that is the end; before, the process must not outlive it. */
  detached(process: GuestProcess): void {
    delete process.proxy;
    if (process.exitStatus === undefined) {
      this.forwardSignal(process, SIGKILL);
      return;
    }
    this.#containers.get(process.containerId)?.execs.delete(process);
    this.#endIfOver();
  }

  /** Nothing runs, and all output has been passed on. */
  #endIfOver(): void {
    const isOver = [...this.#containers.values()].every(({ init, execs }) => {
      return init.exitStatus !== undefined && init.proxy === undefined && execs.size === 0;
    });
    if (isOver) this.#environment.onEmpty();
  }

  /** @param make makes its init, or finds it. @returns what `make` gives */
  async #add(
    request: Pick<CreateContainerRequest, 'containerId' | 'stdioToken' | 'terminal'> &
      Pick<Container, 'sharedName' | 'isSaved'>,
    make: (init: GuestProcess) => Promise<number>,
  ): Promise<number> {
    const { containerId, stdioToken, terminal, sharedName, isSaved } = request;
    if (this.#containers.has(containerId)) {
      throw new StatusError('ALREADY_EXISTS', `container ${containerId} is in this sandbox already`);
    }
    const init: GuestProcess = { containerId, processId: '' };
    const made = this.#tokens.fulfil(stdioToken, init, () => make(init));
    const container = { init, made, stdioToken, terminal, sharedName, isSaved, execs: new Set<GuestProcess>() };
    this.#containers.set(containerId, container);
    try {
      return await made;
    } catch (error) {
      this.#containers.delete(containerId);
      throw error;
    }
  }

  async #make(request: CreateContainerRequest, init: GuestProcess): Promise<number> {
    const { containerId, stdioToken: token, terminal } = request;
    const { mounts, mark } = this.#environment;
    const bundle = readBundle(request.bundle);
    const disks = await this.#disks();
    const { config, warnings: left } = devicesForGuest(bundle.config, disks);
    const withDisks = { ...config, mounts: mountsOfDisks(config.mounts ?? [], disks) };
    const isDisk = (source: string): boolean => disks.some(({ path }) => path === source);
    const namespaces = await this.#guestNamespaces(request.sharedNamespaces);
    const plan = planForGuest(withDisks, containerId, SHARED_DIRECTORY, namespaces, isDisk);
    this.#warnOf(containerId, left);
    mounts.add(containerId, bundle, plan.shares, request.heldMounts);
    try {
      const agent = await this.#environment.agent;
      if (request.networkNamespace !== '') await this.#takeNetwork(request.networkNamespace, agent);
      const { pid, warnings } = await agent.call('CreateContainer', {
        containerId,
        ociConfigJson: JSON.stringify(plan.config),
        rootfsPath: `${SHARED_DIRECTORY}/${rootfsTarget(containerId)}`,
        stdio: stdioRequest(token, terminal, bundle.config.process),
        seccomp: plan.seccomp,
        bundle: bundle.directory,
      });
      mark('container-created');
      this.#warnOf(containerId, warnings);
      void this.#awaitExit(init, agent);
      return pid;
    } catch (error) {
      mounts.remove(containerId);
      throw error;
    }
  }

  async #adopt(request: RestoreContainerRequest, init: GuestProcess): Promise<number> {
    const { containerId, savedContainerId, networkNamespace } = request;
    const agent = await this.#environment.agent;
    if (networkNamespace !== '') await this.#takeNetwork(networkNamespace, agent);
    const { pid } = await agent.call('AdoptContainer', {
      containerId: savedContainerId,
      newContainerId: containerId,
    });
    this.#environment.mark('container-created');
    void this.#awaitExit(init, agent);
    return pid;
  }

  async #takeNetwork(path: string, agent: AgentClient): Promise<void> {
    this.#network?.[Symbol.dispose]();
    this.#network = this.#environment.openNetwork(path, agent);
    await this.#network?.update();
  }

  /** @param shared by type, the container whose namespace it is. @returns by type, its path in the guest; both may be empty */
  async #guestNamespaces(shared: CreateContainerRequest['sharedNamespaces']): Promise<SharedNamespaces> {
    const paths: Record<string, string> = {};
    for (const [type, id] of Object.entries(shared)) {
      paths[type] = id === '' ? '' : namespacePath(type as NamespaceType, await this.#findRunning(id).made);
    }
    return paths;
  }

  /** The disks of the VM. */
  async #disks(): Promise<readonly PlacedDisk[]> {
    const { agent, disks } = this.#environment;
    return disks.length === 0 ? [] : placeDisks(disks, await (await agent).call('GuestDetails', {}));
  }

  async #exec(request: ExecProcessRequest, process: GuestProcess): Promise<number> {
    const { containerId, processId } = process;
    const { ociProcessJson, stdioToken: token, terminal, ignorePaused } = request;
    const agent = await this.#environment.agent;
    const { pid, warnings } = await agent.call('ExecProcess', {
      containerId,
      processId,
      ociProcessJson,
      stdio: stdioRequest(token, terminal, JSON.parse(ociProcessJson)),
      ignorePaused,
    });
    this.#warnOf(containerId, warnings);
    void this.#awaitExit(process, agent);
    return pid;
  }

  async #awaitExit(process: GuestProcess, agent: AgentClient): Promise<void> {
    const { containerId, processId } = process;
    try {
      const { exitStatus, signal, oomKills = 0n } = await agent.wait({ containerId, processId });
      if (processId === '') this.#environment.mark('container-exited');
      // Before the proxy ends: engines look then.
      if (oomKills > 0n) await this.#countOomKill(containerId);
      this.#ended(process, signal === 0 ? exitStatus & 0xff : statusOfSignal(signal));
    } catch (error) {
      // A lost agent ends the whole sandbox: the one who watches the connection does that.
      this.#environment.warn(`cannot wait for ${describe(process)}: ${messageOf(error)}`);
      // Another error is of a container that was deleted with its processes in it.
      this.#ended(process, statusOfSignal(SIGKILL));
    }
  }

  async #countOomKill(containerId: string): Promise<void> {
    try {
      await this.#environment.countOomKill(containerId);
    } catch (error) {
      this.#environment.warn(
        `the host does not know that container ${containerId} was out of memory: ${messageOf(error)}`,
      );
    }
  }

  #ended(process: GuestProcess, status: number): void {
    process.exitStatus = status;
    process.proxy?.exit(status);
    if (process.proxy === undefined) this.detached(process);
  }

  /** What a proxy asks is no call: there is nobody to tell when it came too late. */
  #toProcess(process: GuestProcess, action: (agent: AgentClient) => Promise<unknown>): void {
    if (process.exitStatus !== undefined) return;
    this.#environment.agent.then(action).catch((error: unknown) => {
      this.#environment.warn(`${describe(process)}: ${messageOf(error)}`);
    });
  }

  #warnOf(containerId: string, warnings: readonly string[]): void {
    for (const warning of warnings) this.#environment.warn(`container ${containerId}: ${warning}`);
  }

  #find(id: string): Container {
    const container = this.#containers.get(id);
    if (container === undefined) throw new StatusError('NOT_FOUND', 'container does not exist');
    return container;
  }

  #findRunning(id: string): Container {
    const container = this.#find(id);
    if (container.init.exitStatus !== undefined) throw new StatusError('FAILED_PRECONDITION', 'container not running');
    return container;
  }
}

/** Lets streams end again with their connections. */
async function release(agent: AgentClient, containerId: string): Promise<void> {
  await agent.call('ReleaseStreams', { containerId });
}

async function goOn(agent: AgentClient, containerId: string): Promise<void> {
  await release(agent, containerId);
  await agent.call('ResumeContainer', { containerId });
}

function stdioRequest(token: string, terminal: boolean, { consoleSize }: Pick<Process, 'consoleSize'>) {
  return {
    token,
    stdin: !terminal,
    stdout: !terminal,
    stderr: !terminal,
    terminal,
    terminalRows: consoleSize?.height ?? 0,
    terminalColumns: consoleSize?.width ?? 0,
  };
}

function describe({ containerId, processId }: GuestProcess): string {
  return processId === '' ? `container ${containerId}` : `${processId} of container ${containerId}`;
}
