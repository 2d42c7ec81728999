// All containers of the guest.
import type {
  CreateContainerRequest,
  CreateContainerResponse,
  Event,
  ExecProcessRequest,
  ExecProcessResponse,
  ResizeTerminalRequest,
  SignalProcessRequest,
  WaitProcessResponse,
} from '../../../src/protocol/agent.gen.ts';
import type { Caller } from '../../../src/protocol/service.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import { log } from '../log.ts';
import { Container } from './container.ts';
import type { ProcessServices } from './process.ts';

/** A container's id is a name in the cgroup tree: no path, no hidden file, at most what a directory entry holds. */
const CONTAINER_ID = /^[A-Za-z0-9_+.-]{1,128}$/;

export class ContainerManager {
  readonly #services: ProcessServices;
  /** A container that is being made has its name already: `undefined` until it stands. */
  readonly #containers = new Map<string, Container | undefined>();

  constructor(services: ProcessServices) {
    this.#services = services;
  }

  async create(request: CreateContainerRequest): Promise<CreateContainerResponse> {
    const id = request.containerId;
    this.#requireFree(id);
    this.#containers.set(id, undefined);
    try {
      const { container, warnings } = await Container.create(this.#services, request);
      this.#containers.set(id, container);
      for (const warning of warnings) log(`container ${id}: warning: ${warning}`);
      return { pid: container.initPid, warnings: [...warnings] };
    } catch (error) {
      this.#containers.delete(id);
      throw error;
    }
  }

  async start(id: string): Promise<void> {
    await this.find(id).start();
  }

  /** A stopped container, and as with runc one that never was started; any with `force`. */
  async delete(id: string, force: boolean): Promise<void> {
    const container = this.find(id);
    if (container.running && container.started && !force) {
      throw new StatusError(
        'FAILED_PRECONDITION',
        `container ${id} is running: stop it first, or delete it with force`,
      );
    }
    // Its name stays taken, and finds nothing, until all of it is gone.
    this.#containers.set(id, undefined);
    try {
      await container.destroy();
      this.#containers.delete(id);
    } catch (error) {
      this.#containers.set(id, container);
      throw error;
    }
  }

  /** @returns the pid of its init. @throws StatusError */
  adopt(id: string, newId: string): number {
    const container = this.find(id);
    if (newId !== id) {
      this.#requireFree(newId);
      this.#containers.delete(id);
      this.#containers.set(newId, container);
    }
    container.adopt(newId);
    return container.initPid;
  }

  async exec(request: ExecProcessRequest): Promise<ExecProcessResponse> {
    return await this.find(request.containerId).exec(request);
  }

  signal(request: SignalProcessRequest): void {
    this.find(request.containerId).signal(request.processId, request.signal, request.all);
  }

  /** @throws StatusError */
  wait(containerId: string, processId: string, caller: Caller): Promise<WaitProcessResponse> {
    return this.find(containerId).wait(processId, caller);
  }

  resize(request: ResizeTerminalRequest): void {
    this.find(request.containerId).resize(request.processId, request.rows, request.columns);
  }

  /** What happens from now on in a container, made or not; in all of them and to the guest where the id is empty. */
  subscribe(containerId: string): AsyncIterable<Event> {
    return this.#services.events.subscribe(containerId);
  }

  /** Kills and frees every container. */
  async destroyAll(): Promise<void> {
    const containers = [...this.#containers.values()];
    this.#containers.clear();
    for (const container of containers) container?.killAll();
    await Promise.all(containers.map((container) => container?.destroy()));
  }

  /** @throws StatusError INVALID_ARGUMENT, ALREADY_EXISTS */
  #requireFree(id: string): void {
    if (!CONTAINER_ID.test(id) || id.startsWith('.')) {
      throw new StatusError(
        'INVALID_ARGUMENT',
        `"${id}" is no id for a container: letters, digits, "_", "+", "-" and "." only`,
      );
    }
    if (this.#containers.has(id)) throw new StatusError('ALREADY_EXISTS', `container with id exists: ${id}`);
  }

  /** @throws StatusError NOT_FOUND */
  find(id: string): Container {
    const container = this.#containers.get(id);
    if (container !== undefined) return container;
    throw new StatusError('NOT_FOUND', `container ${id} does not exist`);
  }
}
