// Runs the real agent as a process on this machine, in namespaces of its own, and speaks to it as the host would.
// Needs root, not KVM.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildAgent } from '../../guest-agent/build.ts';
import { nodeTimers, socketStream } from '../../src/agent-client/socket-stream.ts';
import type { Config } from '../../src/oci/config.ts';
import { takeSeccomp } from '../../src/oci/guest-config.ts';
import type { StdioRequest } from '../../src/protocol/agent.gen.ts';
import { type AgentMethods, agentService, GUEST_DIRECTORY } from '../../src/protocol/agent-service.ts';
import { TtrpcClient } from '../../src/protocol/client.ts';
import type { RequestOf, ResponseOf, ServerStreamName, UnaryName } from '../../src/protocol/service.ts';

/** The guest that a test gets: what pid 1 has in a VM, made on this machine. */
const NAMESPACES = [
  '--pid',
  '--mount',
  '--uts',
  '--ipc',
  '--net',
  '--fork',
  '--kill-child',
  '--propagation',
  'private',
];
const PREPARE = `mount -t proc proc /proc && mount -t cgroup2 none /sys/fs/cgroup &&
mkdir -p ${GUEST_DIRECTORY} && mount -t tmpfs tmpfs ${GUEST_DIRECTORY} && exec "$0" --listen-unix "$1"`;
const CALL_TIMEOUT_MS = 20_000;

let serial = 0;

/** A name that no other test on this machine uses at the same time. */
export function uniqueId(): string {
  serial += 1;
  return `test-${process.pid}-${serial}`;
}

/** A token for standard streams. */
export function newToken(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('hex');
}

export interface StdioOptions {
  readonly stdin?: boolean;
  readonly stdout?: boolean;
  readonly stderr?: boolean;
  readonly terminal?: boolean;
}

export function stdioRequest(options: StdioOptions = {}): StdioRequest {
  return {
    token: newToken(),
    stdin: options.stdin ?? false,
    stdout: options.stdout ?? true,
    stderr: options.stderr ?? true,
    terminal: options.terminal ?? false,
    terminalRows: 24,
    terminalColumns: 80,
  };
}

export interface ConfigParts {
  readonly process?: object;
  readonly linux?: object;
  readonly root?: object;
  readonly [field: string]: unknown;
}

/** A config.json with what every container has, for a program of busybox. @param more parts to add or to replace */
export function config(args: readonly string[], more: ConfigParts = {}) {
  const all = [
    'CAP_CHOWN',
    'CAP_DAC_OVERRIDE',
    'CAP_FOWNER',
    'CAP_KILL',
    'CAP_SETGID',
    'CAP_SETUID',
    'CAP_NET_BIND_SERVICE',
  ];
  const { process: processMore, linux: linuxMore, root: rootMore, ...rest } = more;
  return {
    ociVersion: '1.2.0',
    root: { path: 'rootfs', ...rootMore },
    hostname: 'box',
    process: {
      args,
      cwd: '/',
      env: ['PATH=/bin:/sbin', 'TERM=xterm'],
      user: { uid: 0, gid: 0 },
      capabilities: { bounding: all, effective: all, permitted: all },
      ...processMore,
    },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      {
        destination: '/dev',
        type: 'tmpfs',
        source: 'tmpfs',
        options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
      },
      {
        destination: '/dev/pts',
        type: 'devpts',
        source: 'devpts',
        options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
      },
      { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['nosuid', 'noexec', 'nodev', 'mode=1777'] },
      { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
      { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
    ],
    linux: {
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'cgroup', 'network'].map((type) => ({ type })),
      maskedPaths: ['/proc/kcore', '/proc/keys', '/sys/firmware'],
      readonlyPaths: ['/proc/sys', '/proc/bus', '/proc/irq'],
      ...linuxMore,
    },
    ...rest,
  };
}

/** What a container's program printed, and how it ended. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitStatus: number;
  readonly signal: number;
}

/** Collects what arrives on a stream until its end. */
export async function collect(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Settles when the other end has closed the connection, properly or not. */
export function closing(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on('error', () => {});
    socket.once('close', () => resolve());
    socket.once('end', () => socket.destroy());
    socket.resume();
  });
}

export class TestAgent implements AsyncDisposable {
  readonly directory: string;
  readonly #process: ChildProcess;
  readonly #client: TtrpcClient;
  /** What the agent printed. */
  log = '';

  private constructor(directory: string, process: ChildProcess, client: TtrpcClient) {
    this.directory = directory;
    this.#process = process;
    this.#client = client;
    process.stderr?.on('data', (chunk: Buffer) => {
      this.log += chunk.toString();
    });
  }

  static async start(): Promise<TestAgent> {
    const agent = await buildAgent();
    const directory = mkdtempSync(join(tmpdir(), 'agent-'));
    const child = spawn('unshare', [...NAMESPACES, 'sh', '-c', PREPARE, agent, directory], {
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    const socket = await connectWhenThere(join(directory, 'agent.sock'), child);
    return new TestAgent(directory, child, new TtrpcClient(socketStream(socket), nodeTimers));
  }

  /** Pid of the unshare process; the agent is its child. */
  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** A path of the agent's file systems as this process reaches it. */
  pathInside(path: string): string {
    return `/proc/${this.pid}/root${path}`;
  }

  /** Runs a program of this machine in the agent's network namespace and among its mounts. @returns what it printed */
  runInside(...command: readonly string[]): string {
    return execFileSync('nsenter', ['-t', String(this.pid), '--net', '--mount', ...command], { encoding: 'utf8' });
  }

  call<Name extends UnaryName<AgentMethods>>(
    name: Name,
    request: RequestOf<AgentMethods[Name]>,
  ): Promise<ResponseOf<AgentMethods[Name]>> {
    return this.#client.call(agentService, name, request, { timeoutMs: CALL_TIMEOUT_MS });
  }

  /** Calls a method that answers with a stream. */
  subscribe<Name extends ServerStreamName<AgentMethods>>(name: Name, request: RequestOf<AgentMethods[Name]>) {
    return this.#client.stream(agentService, name, request);
  }

  async connect(name: 'agent.sock' | 'stdio.sock' | 'loopback.sock'): Promise<Socket> {
    const socket = connect({ path: join(this.directory, name), allowHalfOpen: true });
    await once(socket, 'connect');
    return socket;
  }

  /** Opens one standard stream of a process. */
  async stream(stdio: StdioRequest, name: string): Promise<Socket> {
    const socket = await this.connect('stdio.sock');
    socket.write(`${stdio.token} ${name}\n`);
    return socket;
  }

  /** A root file system of busybox. @returns its path */
  makeRootfs(): string {
    const rootfs = mkdtempSync(join(this.directory, 'rootfs-'));
    chmodSync(rootfs, 0o755);
    for (const name of ['bin', 'etc', 'tmp', 'proc', 'sys', 'dev', 'home']) mkdirSync(join(rootfs, name));
    chmodSync(join(rootfs, 'tmp'), 0o1777);
    copyFileSync('/usr/bin/busybox', join(rootfs, 'bin/busybox'));
    chmodSync(join(rootfs, 'bin/busybox'), 0o755);
    for (const name of 'sh cat echo ls id sleep hostname mount stat tty touch mkdir grep head yes kill true false env pwd dd ps stty test seq wc readlink umask'.split(
      ' ',
    )) {
      symlinkSync('busybox', join(rootfs, 'bin', name));
    }
    writeFileSync(join(rootfs, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n');
    return rootfs;
  }

  async create(id: string, document: object, stdio: StdioRequest = stdioRequest(), rootfs = this.makeRootfs()) {
    const { config: guestConfig, seccomp } = takeSeccomp(document as Config);
    const request = {
      containerId: id,
      ociConfigJson: JSON.stringify(guestConfig),
      rootfsPath: rootfs,
      stdio,
      seccomp,
      bundle: '/the/bundle',
    };
    return await this.call('CreateContainer', request);
  }

  /** Runs a container from creation to deletion. */
  async run(document: object, rootfs = this.makeRootfs()): Promise<Outcome> {
    const id = uniqueId();
    const stdio = stdioRequest();
    await this.create(id, document, stdio, rootfs);
    const streams = await Promise.all([this.stream(stdio, 'stdout'), this.stream(stdio, 'stderr')]);
    await this.call('StartContainer', { containerId: id });
    const [stdout = '', stderr = ''] = (await Promise.all(streams.map(collect))).map((bytes) => bytes.toString());
    const { exitStatus, signal } = await this.call('WaitProcess', { containerId: id, processId: '' });
    await this.call('DeleteContainer', { containerId: id, force: false });
    return { stdout, stderr, exitStatus, signal };
  }

  /** Runs a shell script in a container. */
  shell(script: string, more: ConfigParts = {}): Promise<Outcome> {
    return this.run(config(['sh', '-c', script], more));
  }

  /** Waits until the agent has ended by itself. */
  async ended(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) await once(this.#process, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
    this.#process.kill('SIGKILL');
    await this.ended();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

async function connectWhenThere(path: string, child: ChildProcess): Promise<Socket> {
  for (;;) {
    if (child.exitCode !== null) {
      const text = String(child.stderr?.read() ?? '');
      throw new Error(`the agent ended with status ${child.exitCode} before it listened: ${text}`);
    }
    if (existsSync(path)) {
      const socket = connect(path);
      try {
        await once(socket, 'connect');
        return socket;
      } catch {
        socket.destroy();
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
