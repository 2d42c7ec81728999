// The sandbox process: one VM, its containers, and the sockets through which verbs and proxies reach them. Its working
// directory is the sandbox's state directory, so that socket paths stay short (sockaddr_un holds 107 bytes).
import { once } from 'node:events';
import { closeSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { release } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { AgentClient, AgentDetails, HandshakeOptions } from '../agent-client/agent-client.ts';
import { awaitAgent } from '../agent-client/await-agent.ts';
import { socketStream } from '../agent-client/socket-stream.ts';
import { fillRandom } from '../host/random.ts';
import { messageOf } from '../lib/errors.ts';
import { present } from '../lib/present.ts';
import { AGENT_RPC_PORT } from '../protocol/agent-service.ts';
import { sandboxService } from '../protocol/sandbox-service.ts';
import { MethodTable, serveConnection } from '../protocol/server.ts';
import { StatusError } from '../protocol/status.ts';
import { type StartReport, Timeline } from '../vmm/timeline.ts';
import { writeCheckpoint } from './checkpoint-folder.ts';
import { SandboxCgroup } from './host-cgroup.ts';
import { parseProxyLine, readLines } from './proxy-connection.ts';
import { type GuestProcess, Sandbox } from './sandbox.ts';
import { COMMIT_LINE, parseSandboxArguments, type SandboxArguments } from './sandbox-arguments.ts';
import { openLog } from './sandbox-log.ts';
import { SandboxLoopback } from './sandbox-loopback.ts';
import { SandboxNetwork } from './sandbox-network.ts';
import type { SandboxVm, StartVm } from './sandbox-vm.ts';
import { SharedFolder } from './shared-folder.ts';
import { CONTROL_SOCKET, PROXY_SOCKET, REPORT_FILE, VSOCK_SOCKET } from './state-store.ts';

const STDOUT_FD = 1;
/** Where the starter reads READY, or ERROR and why not. */
const READY_FD = 3;
const SHARED_TAG = 'tskata';
const ENTROPY_BYTES = 64;
/** What a guest gets to power itself off; it has nothing left to lose then. Milliseconds. */
const SHUTDOWN_MS = 2_000;

/** Runs one sandbox from its arguments to its end. @returns the exit status */
export async function runSandboxProcess(args: readonly string[], startVm: StartVm): Promise<number> {
  closeInheritedFiles();
  const log = openLog(STDOUT_FD);
  try {
    const options = parseSandboxArguments(args);
    process.title = `tskata sandbox ${options.id}`;
    await new SandboxProcess(options, startVm, log).run();
    return 0;
  } catch (error) {
    log.fatal(error, 'the sandbox failed');
    tellStarter(`ERROR ${messageOf(error)}`);
    return 1;
  }
}

class SandboxProcess {
  readonly #options: SandboxArguments;
  readonly #startVm: StartVm;
  readonly #log: Logger;
  readonly #timeline = new Timeline();
  readonly #agent = Promise.withResolvers<AgentClient>();
  /** Settles with the reason why the sandbox is to end. */
  readonly #end = Promise.withResolvers<string>();
  readonly #sandbox: Sandbox;
  readonly #sharedFolder: SharedFolder;
  #details: AgentDetails | undefined;
  #vm: SandboxVm | undefined;
  #loopback: SandboxLoopback | undefined;

  constructor(options: SandboxArguments, startVm: StartVm, log: Logger) {
    this.#options = options;
    this.#startVm = startVm;
    this.#log = log;
    this.#timeline.mark('command-start', options.commandStartNs);
    this.#timeline.mark('sandbox-start', processStartNs());
    this.#sharedFolder = new SharedFolder(process.cwd());
    this.#sandbox = new Sandbox({
      agent: this.#agent.promise,
      disks: options.machine.disks,
      mounts: this.#sharedFolder,
      openNetwork: (path, agent) => {
        const vm = this.#requireVm();
        this.#openLoopback(path);
        if (vm.cards.length === 0) return undefined;
        return new SandboxNetwork(path, vm, agent, (message) => log.warn(message));
      },
      countOomKill: async (id) => await SandboxCgroup.read(join('..', id))?.countOomKill(),
      save: async (directory, container) => {
        const vm = this.#requireVm();
        const saved = { ...container, networkCards: vm.cards.length };
        await writeCheckpoint(directory, saved, (path) => vm.snapshot(path));
      },
      mark: (name, monotonicNs = process.hrtime.bigint()) => this.#timeline.mark(name, monotonicNs),
      warn: (message) => log.warn(message),
      onEmpty: () => this.#end.resolve('its last container has ended'),
    });
    // Whoever needs the agent gets this error; that nobody may is no fault.
    this.#agent.promise.catch(() => {});
  }

  async run(): Promise<void> {
    const agentServer = await listen(`${VSOCK_SOCKET}_${AGENT_RPC_PORT}`);
    const controlServer = await listen(CONTROL_SOCKET);
    const proxyServer = await listen(PROXY_SOCKET);
    const methods = this.#methods();
    controlServer.on('connection', (socket) => {
      serveConnection(socketStream(socket), methods).catch((error) =>
        this.#log.warn(error, 'a control connection broke'),
      );
    });
    proxyServer.on('connection', (socket) => this.#serveProxy(socket));
    this.#watchStarter();
    tellStarter('READY');
    void this.#boot(agentServer);
    for (const signal of ['SIGTERM', 'SIGINT'] as const)
      process.once(signal, () => this.#end.resolve(`it got ${signal}`));

    const reason = await this.#end.promise;
    this.#log.info(`the sandbox ends: ${reason}`);
    this.#agent.reject(new Error(`the sandbox ended: ${reason}`));
    // First, so that whoever waits for our end finds it.
    this.#writeReport(reason);
    await this.#shutDown();
  }

  async #boot(agentServer: Server): Promise<void> {
    const { dialTimeoutMs, saved } = this.#options;
    try {
      // The guest has files open there.
      if (saved !== undefined) this.#sharedFolder.addSaved(saved);
      const greeted = awaitAgent(agentServer, handshakeOptions, AbortSignal.timeout(dialTimeoutMs));
      greeted.catch(() => {});
      this.#vm = await this.#startVm({
        machine: this.#options.machine,
        vsockPath: VSOCK_SOCKET,
        sharedDirectory: this.#sharedFolder.path,
        sharedTag: SHARED_TAG,
        console: this.#options.console,
        ...present({ snapshot: saved?.snapshot }),
        onMark: (name, monotonicNs) => this.#timeline.mark(name, monotonicNs),
        onConsoleLine: (line) => this.#log.info({ console: line }),
      });
      const ended = this.#vm.ended.then((reason) => {
        throw new Error(`the VM ended: ${reason}`);
      });
      const { agent, details } = await Promise.race([greeted, ended]);
      this.#details = details;
      const readyNs = process.hrtime.bigint();
      const { agentVersion, kernelRelease, agentAgeNs } = details;
      this.#timeline.mark('agent-start', readyNs - agentAgeNs);
      this.#timeline.mark('agent-ready', readyNs);
      this.#log.info({ agentVersion, kernelRelease }, 'the agent answers');
      this.#agent.resolve(agent);
      await Promise.race([ended, agent.closed]);
      throw new Error('the connection to the agent was lost');
    } catch (cause) {
      const isTimeout = cause instanceof Error && cause.name === 'AbortError';
      const error = isTimeout
        ? new Error(
            `the guest's agent did not connect within ${dialTimeoutMs} ms: see the guest's console in sandbox.log`,
          )
        : cause;
      this.#agent.reject(error);
      this.#end.resolve(messageOf(error));
    }
  }

  #methods(): MethodTable {
    const sandbox = this.#sandbox;
    return new MethodTable().add(sandboxService, {
      CreateContainer: async (request) => ({ guestPid: await sandbox.create(request) }),
      StartContainer: async ({ containerId }) => {
        await sandbox.start(containerId);
        return {};
      },
      SignalContainer: async ({ containerId, signal, all }) => {
        await sandbox.signal(containerId, signal, all);
        return {};
      },
      DeleteContainer: async ({ containerId, force }) => {
        await sandbox.delete(containerId, force);
        return {};
      },
      ExecProcess: async (request) => ({ guestPid: await sandbox.exec(request) }),
      Checkpoint: async (request) => {
        await sandbox.checkpoint(request);
        return {};
      },
      RestoreContainer: async (request) => ({ guestPid: await sandbox.restore(request) }),
      ListProxies: async ({ containerId }) => ({ pids: sandbox.proxies(containerId) }),
      Resize: async ({ memoryMib, cpus }) => {
        const wanted = present({ memoryMib: memoryMib || undefined, cpus: cpus || undefined });
        const size = await this.#requireVm().resize(wanted);
        return { memoryMib: size.memoryMib ?? this.#options.machine.memoryMib, cpus: size.cpus ?? 0 };
      },
      Timeline: async () => {
        const exits = Object.entries(this.#vm?.exitCounts() ?? {}).map(([name, count]) => [name, BigInt(count)]);
        return { marks: this.#timeline.marks, exits: Object.fromEntries(exits) };
      },
      Shutdown: async () => {
        this.#end.resolve('it was asked to');
        return {};
      },
    });
  }

  /** @throws StatusError UNAVAILABLE */
  #requireVm(): SandboxVm {
    if (this.#vm === undefined) throw new StatusError('UNAVAILABLE', 'the virtual machine is not there yet');
    return this.#vm;
  }

  #serveProxy(socket: Socket): void {
    const sandbox = this.#sandbox;
    let token: string | undefined;
    let process: GuestProcess | undefined;
    const send = (line: string): void => {
      if (socket.writable) socket.write(`${line}\n`);
    };
    const attach = async (token: string, pid: number): Promise<void> => {
      try {
        process = await sandbox.attach(token, { pid, exit: (status) => send(`EXIT ${status}`) });
        send('OK');
        sandbox.attached(process);
        if (socket.closed) sandbox.detached(process);
      } catch (error) {
        send(`ERROR ${messageOf(error).replaceAll('\n', ' ')}`);
        socket.end();
      }
    };
    readLines(socket, (text) => {
      const line = parseProxyLine(text);
      if (line.kind === 'attach' && token === undefined) {
        token = line.token;
        void attach(token, line.pid);
      } else if (line.kind === 'output') this.#timeline.mark('first-output', line.monotonicNs);
      else if (line.kind === 'unknown') this.#log.warn(`a proxy sent a line that is not understood: ${line.line}`);
      else if (line.kind === 'attach') this.#log.warn('a proxy attached twice');
      else if (process === undefined) this.#log.warn(`a proxy sent a ${line.kind} before it was attached`);
      else if (line.kind === 'signal') sandbox.forwardSignal(process, line.signal);
      else sandbox.resize(process, line.rows, line.columns);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      if (token !== undefined) sandbox.forget(token);
      if (process !== undefined) sandbox.detached(process);
    });
  }

  /** @param path of the container's network namespace */
  #openLoopback(path: string): void {
    this.#loopback?.[Symbol.dispose]();
    try {
      this.#loopback = new SandboxLoopback(path, VSOCK_SOCKET);
    } catch (error) {
      const what = "connections to 127.0.0.1 in the container's network namespace do not reach the container";
      this.#log.warn(`${what}: ${messageOf(error)}`);
    }
  }

  /** Until the starter commits, the sandbox is its work in progress, and ends with it. */
  #watchStarter(): void {
    let said = '';
    process.stdin.setEncoding('latin1');
    process.stdin.on('data', (text: string) => {
      said += text;
    });
    process.stdin.on('error', () => {});
    process.stdin.on('close', () => {
      if (!said.startsWith(COMMIT_LINE)) this.#end.resolve('its starter ended before it was done');
    });
  }

  #writeReport(endReason: string): void {
    const report: StartReport = {
      hostKernelRelease: release(),
      ...(this.#details === undefined ? {} : guestReport(this.#details)),
      marks: this.#timeline.marks.map(({ name, monotonicNs }) => ({ name, monotonicNs: String(monotonicNs) })),
      endReason,
      exits: this.#vm?.exitCounts() ?? {},
    };
    try {
      writeFileSync(REPORT_FILE, JSON.stringify(report), { mode: 0o600 });
    } catch (error) {
      // The folder may be gone: then nobody is left to read it.
      this.#log.warn(error, `cannot write ${REPORT_FILE}`);
    }
  }

  async #shutDown(): Promise<void> {
    const vm = this.#vm;
    if (vm === undefined) return;
    const agent = await this.#agent.promise.catch(() => undefined);
    if (agent !== undefined) {
      agent.call('Shutdown', {}).catch((error) => this.#log.info(`asked the guest to power off: ${messageOf(error)}`));
      await Promise.race([vm.ended, new Promise((resolve) => setTimeout(resolve, SHUTDOWN_MS))]);
    }
    vm.kill();
    await vm.ended;
  }
}

function handshakeOptions(): HandshakeOptions {
  return {
    realtimeNs: BigInt(Date.now()) * 1_000_000n,
    entropy: fillRandom(new Uint8Array(ENTROPY_BYTES)),
    sharedTag: SHARED_TAG,
  };
}

async function listen(name: string): Promise<Server> {
  const server = createServer().listen(name);
  await once(server, 'listening');
  return server;
}

function tellStarter(line: string): void {
  try {
    writeSync(READY_FD, `${line.replaceAll('\n', ' ')}\n`);
    closeSync(READY_FD);
  } catch {
    // Told already, or the starter is gone; the log has it in any case.
  }
}

/** When this process started, on CLOCK_MONOTONIC. */
function processStartNs(): bigint {
  return process.hrtime.bigint() - BigInt(Math.round(performance.now() * 1e6));
}

const O_CLOEXEC = 0o2000000;

/**
 * Closes what our starter's callers left open: a pipe that we held would never end for its reader. Node's own files are all
 * close-on-exec.
 */
function closeInheritedFiles(): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const fd = Number(name);
    if (fd <= READY_FD) continue;
    try {
      const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${name}`, 'latin1'))?.[1];
      if (flags !== undefined && (Number.parseInt(flags, 8) & O_CLOEXEC) === 0) closeSync(fd);
    } catch {
      // It was the one that read the folder.
    }
  }
}

function guestReport({ kernelRelease, agentUserNs, agentSystemNs }: AgentDetails): Partial<StartReport> {
  const toUs = (ns: bigint): number => Number(ns / 1000n);
  return {
    guestKernelRelease: kernelRelease,
    agentProcessorUs: { user: toUs(agentUserNs), system: toUs(agentSystemNs) },
  };
}
