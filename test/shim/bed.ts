// What a shim of containerd has around it, played here: containerd, containerd-shim-runc-v2, and the agents of guests.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildShim } from '../../shim/build.ts';
import { relaySocket, toAddress, toSocket } from '../../shim/src/addresses.ts';
import { connectUnix, nodeTimers, socketStream } from '../../src/agent-client/socket-stream.ts';
import { ContainerStatsResponse, GuestDetailsResponse } from '../../src/protocol/agent.gen.ts';
import { agentService } from '../../src/protocol/agent-service.ts';
import { TtrpcClient } from '../../src/protocol/client.ts';
import {
  Any,
  CreateTaskRequest,
  DeleteRequest,
  Empty,
  Metrics,
  RuncOptions,
  StatsResponse,
  TaskRequest,
} from '../../src/protocol/containerd.gen.ts';
import { MethodTable, serveConnection } from '../../src/protocol/server.ts';
import { method, type Service } from '../../src/protocol/service.ts';
import { StatusError } from '../../src/protocol/status.ts';
import { type Ended, ended } from '../oci/harness.ts';

const NAMESPACE = 'moby';
const NOTHING = new Uint8Array(0);
/** Says what it was called with, and does as much as its caller can see. */
const RUNC_SHIM = (folder: string, socket: string): string => `#!/bin/sh
echo "$@" >> ${folder}/calls
for word; do action=$word; done
if [ -e ${folder}/fails ]; then echo no room; exit 7; fi
if [ $action = -info ]; then /bin/cat > ${folder}/input; exit 0; fi
if [ $action = delete ]; then printf deleted; exit 0; fi
printf %s ${toAddress(socket)} > address
printf %s ${toAddress(socket)}
`;

const taskMethods = {
  Create: method(CreateTaskRequest, Empty),
  State: method(TaskRequest, TaskRequest),
  Stats: method(TaskRequest, StatsResponse),
  Delete: method(DeleteRequest, Empty),
  Shutdown: method(TaskRequest, Empty),
} as const;
export const taskService: Service<typeof taskMethods> = { name: 'containerd.task.v2.Task', methods: taskMethods };

const guestMethods = {
  ContainerStats: agentService.methods.ContainerStats,
  GuestDetails: agentService.methods.GuestDetails,
} as const;
const guestService: Service<typeof guestMethods> = { name: agentService.name, methods: guestMethods };

export class ShimBed implements AsyncDisposable {
  /** Scratch of a test. */
  readonly folder = mkdtempSync(join(tmpdir(), 'tskata-shim-'));
  readonly socket = join(this.folder, 'socket');
  readonly root = join(this.folder, 'root');
  /** What containerd-shim-runc-v2 was asked. */
  readonly asked: string[] = [];
  /** Whether it has other containers than it is asked about. */
  hasOthers = false;
  /** The options that its last container came with. */
  options: RuncOptions | undefined;
  #held: Promise<void> | undefined;
  readonly #program: string;
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Socket>();
  readonly #clients: TtrpcClient[] = [];

  private constructor(program: string) {
    this.#program = program;
    for (const name of ['bin', 'root']) mkdirSync(join(this.folder, name));
    writeFileSync(join(this.folder, 'bin/containerd-shim-runc-v2'), RUNC_SHIM(this.folder, this.socket), {
      mode: 0o755,
    });
  }

  static async create(): Promise<ShimBed> {
    const bed = new ShimBed(await buildShim());
    await bed.serveShim();
    return bed;
  }

  /** Listens as containerd-shim-runc-v2 does. */
  async serveShim(): Promise<void> {
    const table = new MethodTable().add(taskService, {
      Create: async ({ id, options }) => {
        this.asked.push(`Create ${id}`);
        this.options = RuncOptions.decode(options?.value ?? NOTHING);
        return {};
      },
      State: async ({ id }) => {
        this.asked.push('State');
        await this.#held;
        return { id };
      },
      Stats: async () => {
        const value = Metrics.encode({ ...Metrics.decode(NOTHING), pids: { current: 99n, limit: 0n } });
        return { stats: { typeUrl: 'io.containerd.cgroups.v2.Metrics', value } };
      },
      Delete: async ({ id }) => {
        this.asked.push(`Delete ${id}`);
        await this.#held;
        if (this.hasOthers) throw new StatusError('NOT_FOUND', `no container ${id}`);
        return {};
      },
      Shutdown: async ({ id }) => {
        this.asked.push(`Shutdown ${id}`);
        if (!this.hasOthers) setImmediate(() => this.endShim());
        return {};
      },
    });
    await this.#listen(this.socket, (socket) => serveConnection(socketStream(socket), table));
  }

  /** Lets calls of State and Delete wait. @returns answers them, and does something right behind that */
  hold(): (then?: () => void) => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#held = promise;
    return (then = () => {}) => {
      resolve();
      setImmediate(then);
    };
  }

  /** Whether anybody has a connection to containerd-shim-runc-v2, or to a guest. */
  get isServed(): boolean {
    return this.#connections.size > 0;
  }

  /** Ends containerd-shim-runc-v2; its socket stays, as after SIGKILL. */
  endShim(): void {
    for (const socket of this.#connections) socket.destroy();
    for (const server of this.#servers) server.close();
  }

  /** Puts an agent into the state directory of a container: as many processes, the rest none but for what is given. */
  async serveGuest(id: string, processes: bigint, more: Partial<ContainerStatsResponse> = {}): Promise<void> {
    const folder = join(this.root, NAMESPACE, id);
    mkdirSync(folder, { recursive: true });
    const stats = {
      ...ContainerStatsResponse.decode(NOTHING),
      pids: { current: processes, limit: undefined },
      ...more,
    };
    const table = new MethodTable().add(guestService, {
      ContainerStats: async ({ containerId }) => {
        if (containerId === id) return stats;
        throw new StatusError('NOT_FOUND', `no container ${containerId}`);
      },
      GuestDetails: async () => GuestDetailsResponse.decode(NOTHING),
    });
    await this.#listen(join(folder, 'vsock.sock'), (socket) => {
      socket.once('data', (line: Buffer) => {
        if (line.toString() !== 'CONNECT 1024\n') return socket.destroy();
        socket.write('OK 1073741824\n');
        return serveConnection(socketStream(socket), table).catch(() => {});
      });
    });
  }

  /** Calls the shim as containerd does. @param flags in front of the action */
  call(action: string, id: string, ...flags: readonly string[]): Promise<Ended> {
    const words = ['-namespace', NAMESPACE, '-address', '/a', '-publish-binary', '/p', '-id', id, ...flags, action];
    return this.run(words, this.bundle(id));
  }

  /** @param path where containerd-shim-runc-v2 is looked for */
  async run(words: readonly string[], cwd = this.folder, path = join(this.folder, 'bin')): Promise<Ended> {
    return await ended(spawn(this.#program, words, { cwd, env: { PATH: path }, stdio: ['ignore', 'pipe', 'pipe'] }));
  }

  /**
   * Asks what the shim is, as containerd 2.0 does.
   * @param options an encoded Any, or nothing
   * @returns what containerd-shim-runc-v2 is asked with in turn
   */
  async info(options: Uint8Array): Promise<Any> {
    const env = { PATH: join(this.folder, 'bin') };
    const child = spawn(this.#program, ['-info'], { env, stdio: ['pipe', 'ignore', 'inherit'] });
    child.stdin.end(options);
    await ended(child);
    return Any.decode(readFileSync(join(this.folder, 'input')));
  }

  /** The bundle of a container. */
  bundle(id: string): string {
    const bundle = join(this.folder, 'bundles', id);
    mkdirSync(bundle, { recursive: true });
    writeFileSync(join(bundle, 'config.json'), JSON.stringify({ linux: { cgroupsPath: `system.slice:docker:${id}` } }));
    return bundle;
  }

  /** What containerd-shim-runc-v2 was run with. */
  calls(): string[] {
    return readFileSync(join(this.folder, 'calls'), 'utf8').trimEnd().split('\n');
  }

  get relay(): string {
    return relaySocket(this.socket);
  }

  /** A connection as containerd has one, to the address that the shim has told. */
  async connect(address: string): Promise<TtrpcClient> {
    const client = new TtrpcClient(socketStream(await connectUnix(toSocket(address) ?? '')), nodeTimers);
    this.#clients.push(client);
    return client;
  }

  /** Pids of the relays of this bed: they were called where its bundles are. */
  relays(id: string): number[] {
    return readdirSync('/proc').flatMap((name) => {
      const file = `/proc/${name}/cmdline`;
      const isOurs = /^\d+$/.test(name) && existsSync(file) && isRelayOf(readText(file), this.#program, id);
      return isOurs ? [Number(name)] : [];
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    this.endShim();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #listen(path: string, serve: (socket: Socket) => unknown): Promise<void> {
    const server = createServer((socket) => {
      this.#connections.add(socket);
      socket.on('close', () => this.#connections.delete(socket));
      socket.on('error', () => {});
      void Promise.resolve(serve(socket)).catch(() => {});
    });
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(path, resolve));
  }
}

function isRelayOf(commandLine: string, program: string, id: string): boolean {
  const words = commandLine.split('\0');
  return words[0] === program && words.includes(id);
}

/** A process may end meanwhile. */
function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
