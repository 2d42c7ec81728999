// The containers of one VM, and what the verbs and the proxies ask of them. Knows no sockets: sandbox-process.ts serves it.
//
// The callers' sequence: `create` calls CreateContainer and starts a proxy, which attaches with the token that CreateContainer
// named; `start` calls StartContainer; the guest's exit goes to the proxy, which ends when it has passed all output on; the
// end of the last proxy ends the VM.
import type { AgentClient } from '../agent-client/agent-client.ts';
import { messageOf } from '../lib/errors.ts';
import { planForGuest } from '../oci/guest-config.ts';
import { SIGKILL } from '../oci/signals.ts';
import { SHARED_DIRECTORY } from '../protocol/agent-service.ts';
import type { CreateContainerRequest } from '../protocol/sandbox.gen.ts';
import { StatusError } from '../protocol/status.ts';
import type { TimelineMarkName } from '../vmm/timeline.ts';
import { readBundle } from './bundle.ts';

/** The status of a process that a signal ended, as shells count. */
const SIGNAL_STATUS_BASE = 128;

/** A proxy as the sandbox sees it. */
export interface AttachedProxy {
  /** Tells it the status of its process, 0 to 255. */
  exit(status: number): void;
}

export interface Container {
  readonly id: string;
  readonly token: string;
  /** Settles when the guest has made it; rejects when it could not. */
  readonly created: Promise<number>;
  proxy?: AttachedProxy;
  /** What it ended with, once it has. */
  exitStatus?: number;
}

export interface SandboxEnvironment {
  /** The agent, once it answers. Rejects when the VM ends before. */
  readonly agent: Promise<AgentClient>;
  readonly mounts: {
    add(containerId: string, bundle: string, rootfs: string, shares: ReturnType<typeof planForGuest>['shares']): void;
    remove(containerId: string): void;
  };
  readonly mark: (name: TimelineMarkName, monotonicNs?: bigint) => void;
  readonly warn: (message: string) => void;
  /** Called when nothing is left to run. */
  readonly onEmpty: () => void;
}

export class Sandbox {
  readonly #environment: SandboxEnvironment;
  readonly #containers = new Map<string, Container>();
  /** Proxies may come before the call that names their token. */
  readonly #byToken = new Map<string, PromiseWithResolvers<Container>>();

  constructor(environment: SandboxEnvironment) {
    this.#environment = environment;
  }

  /** Makes a container up to the last moment before its program runs. @returns the pid of its init in the guest */
  async create(request: CreateContainerRequest): Promise<number> {
    const { containerId: id, stdioToken: token } = request;
    if (this.#containers.has(id)) throw new StatusError('ALREADY_EXISTS', `container ${id} is in this sandbox already`);
    const created = this.#make(request);
    const container: Container = { id, token, created };
    this.#containers.set(id, container);
    this.#expect(token).resolve(container);
    try {
      return await created;
    } catch (error) {
      // Its token stays known: a proxy that comes later learns of the failure as well.
      this.#containers.delete(id);
      throw error;
    }
  }

  async start(id: string): Promise<void> {
    this.#find(id);
    const agent = await this.#environment.agent;
    // Before the call: the program's first output may be here before the call's answer.
    this.#environment.mark('container-started');
    await agent.call('StartContainer', { containerId: id });
  }

  async signal(id: string, signal: number, all: boolean): Promise<void> {
    const container = this.#find(id);
    if (container.exitStatus !== undefined) throw new StatusError('FAILED_PRECONDITION', 'container not running');
    const agent = await this.#environment.agent;
    await agent.call('SignalProcess', { containerId: id, processId: '', signal, all });
  }

  /** Forgets a container; the last one ends the VM. */
  async delete(id: string, force: boolean): Promise<void> {
    this.#find(id);
    const agent = await this.#environment.agent;
    await agent.call('DeleteContainer', { containerId: id, force });
    this.#environment.mounts.remove(id);
    this.#containers.delete(id);
    if (this.#containers.size === 0) this.#environment.onEmpty();
  }

  /**
   * A proxy asks to stand for the process with this token.
   * @returns the container, once it is made
   * @throws why it could not be made; or that the token has its proxy already
   */
  async attach(token: string, proxy: AttachedProxy): Promise<Container> {
    const container = await this.#expect(token).promise;
    await container.created;
    if (container.proxy !== undefined) throw new Error('these streams have their proxy already');
    container.proxy = proxy;
    return container;
  }

  /** Called after the proxy was told that it is attached. */
  attached(container: Container): void {
    if (container.exitStatus !== undefined) container.proxy?.exit(container.exitStatus);
  }

  /** The proxy passes a signal on that it was sent. */
  forwardSignal(container: Container, signal: number): void {
    this.#toProcess(container, (agent) => {
      return agent.call('SignalProcess', { containerId: container.id, processId: '', signal, all: false });
    });
  }

  resize(container: Container, rows: number, columns: number): void {
    this.#toProcess(container, (agent) => {
      return agent.call('ResizeTerminal', { containerId: container.id, processId: '', rows, columns });
    });
  }

  /** The proxy is gone: after its process that is the end; before, the process must not outlive it. */
  detached(container: Container): void {
    delete container.proxy;
    if (container.exitStatus === undefined) this.forwardSignal(container, SIGKILL);
    else this.#endIfOver();
  }

  /** Nothing runs, and all output has been passed on. */
  #endIfOver(): void {
    const containers = [...this.#containers.values()];
    const isOver = containers.every(({ exitStatus, proxy }) => exitStatus !== undefined && proxy === undefined);
    if (isOver) this.#environment.onEmpty();
  }

  async #make(request: CreateContainerRequest): Promise<number> {
    const { containerId, stdioToken: token, terminal } = request;
    const { mounts, mark } = this.#environment;
    const bundle = readBundle(request.bundle);
    const plan = planForGuest(bundle.config, containerId, SHARED_DIRECTORY);
    mounts.add(containerId, bundle.directory, bundle.rootfs, plan.shares);
    try {
      const agent = await this.#environment.agent;
      const size = bundle.config.process.consoleSize;
      const { pid, warnings } = await agent.call('CreateContainer', {
        containerId,
        ociConfigJson: JSON.stringify(plan.config),
        rootfsPath: `${SHARED_DIRECTORY}/${containerId}/rootfs`,
        stdio: {
          token,
          stdin: !terminal,
          stdout: !terminal,
          stderr: !terminal,
          terminal,
          terminalRows: size?.height ?? 0,
          terminalColumns: size?.width ?? 0,
        },
        seccomp: plan.seccomp,
        bundle: bundle.directory,
      });
      mark('container-created');
      for (const warning of warnings) this.#environment.warn(`container ${containerId}: ${warning}`);
      void this.#awaitExit(containerId, agent);
      return pid;
    } catch (error) {
      mounts.remove(containerId);
      throw error;
    }
  }

  async #awaitExit(id: string, agent: AgentClient): Promise<void> {
    try {
      const { exitStatus, signal } = await agent.wait({ containerId: id, processId: '' });
      const container = this.#containers.get(id);
      if (container === undefined) return;
      this.#environment.mark('container-exited');
      container.exitStatus = signal === 0 ? exitStatus & 0xff : SIGNAL_STATUS_BASE + signal;
      container.proxy?.exit(container.exitStatus);
      this.#endIfOver();
    } catch (error) {
      // A lost agent ends the whole sandbox: the one who watches the connection does that.
      this.#environment.warn(`cannot wait for container ${id}: ${messageOf(error)}`);
    }
  }

  /** What a proxy asks is no call: there is nobody to tell when it came too late. */
  #toProcess(container: Container, action: (agent: AgentClient) => Promise<unknown>): void {
    if (container.exitStatus !== undefined) return;
    this.#environment.agent.then(action).catch((error: unknown) => {
      this.#environment.warn(`container ${container.id}: ${messageOf(error)}`);
    });
  }

  #expect(token: string): PromiseWithResolvers<Container> {
    const known = this.#byToken.get(token) ?? Promise.withResolvers<Container>();
    this.#byToken.set(token, known);
    return known;
  }

  #find(id: string): Container {
    const container = this.#containers.get(id);
    if (container === undefined) throw new StatusError('NOT_FOUND', 'container does not exist');
    return container;
  }
}
