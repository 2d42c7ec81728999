// A guest that runs the agent, as its host sees it: through the Unix socket of its vsock.
import { cpSync, mkdirSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import type { AgentClient } from '../../src/agent-client/agent-client.ts';
import { awaitAgent } from '../../src/agent-client/await-agent.ts';
import { connectToGuest } from '../../src/agent-client/guest-socket.ts';
import { buildVm, type Vm } from '../../src/index.ts';
import { AGENT_RPC_PORT, AGENT_STDIO_PORT } from '../../src/protocol/agent-service.ts';
import { collect, stdioRequest } from '../agent/harness.ts';
import { BUILD, type GuestFiles, INITRAMFS, KERNEL } from './tsvm-harness.ts';

/** Tag of the share from which the guest takes root file systems; it must be there when the guest is greeted. */
export const ROOTS_TAG = 'roots';
/** Where the agent mounts it. */
export const ROOTS_PATH = '/run/tskata/shared';

/** The root file system of busybox that every guest of `startAgentVm` has below ROOTS_PATH. */
export const BOX = 'box';

type Machine = Parameters<typeof buildVm>[0];

/** A guest and its virtual machine. */
export interface AgentVm extends AsyncDisposable {
  readonly vm: Vm;
  readonly guest: AgentGuest;
  /** Path of the vsock's socket. */
  readonly vsock: string;
  /** The folder that the guest has at ROOTS_PATH. */
  readonly roots: string;
}

/**
 * Boots a VM with the agent and one share, of root file systems.
 * @param machine what it is to have besides; further words of its command line, and further shares
 */
export async function startAgentVm(
  files: GuestFiles,
  { words = '', shares = [], ...machine }: Partial<Machine> & { readonly words?: string } = {},
): Promise<AgentVm> {
  const [roots, vsock] = [files.path('roots'), files.path('agent.vsock')];
  mkdirSync(roots);
  cpSync(join(BUILD, 'guest/rootfs'), join(roots, BOX), { recursive: true, verbatimSymlinks: true });
  const server = AgentGuest.listen(vsock);
  const vm = await buildVm(
    {
      kernelPath: KERNEL,
      initrdPath: INITRAMFS,
      commandLine: `reboot=k panic=-1 quiet 8250.nr_uarts=0 ${words}`,
      memoryMib: 192,
      cpus: 1,
      vsock: { guestCid: 3, path: vsock },
      shares: [{ tag: ROOTS_TAG, directory: roots }, ...shares],
      ...machine,
    },
    { log: () => undefined },
  );
  vm.start();
  const guest = await AgentGuest.greet(server, vsock);
  return {
    vm,
    guest,
    vsock,
    roots,
    [Symbol.asyncDispose]: async () => {
      guest[Symbol.dispose]();
      await vm[Symbol.asyncDispose]();
    },
  };
}

export class AgentGuest implements Disposable {
  readonly agent: AgentClient;
  readonly #vsock: string;
  #processes = 0;

  private constructor(vsock: string, agent: AgentClient) {
    this.#vsock = vsock;
    this.agent = agent;
  }

  /** Listens where the agent calls. To be called before the guest starts. @param vsock path of the vsock's socket */
  static listen(vsock: string): Server {
    return createServer().listen(`${vsock}_${AGENT_RPC_PORT}`);
  }

  /** Waits for the agent's call, and greets it with the time and with randomness. */
  static async greet(server: Server, vsock: string): Promise<AgentGuest> {
    const { agent } = await awaitAgent(server, () => ({
      realtimeNs: BigInt(Date.now()) * 1_000_000n,
      entropy: crypto.getRandomValues(new Uint8Array(32)),
      sharedTag: ROOTS_TAG,
    }));
    return new AgentGuest(vsock, agent);
  }

  /** Runs a program in a container. @param more parts of the OCI process object. @returns what it printed */
  async exec(containerId: string, args: readonly string[], more: object = {}): Promise<string> {
    this.#processes += 1;
    const processId = `exec-${this.#processes}-${process.pid}-${Math.random().toString(16).slice(2)}`;
    const stdio = stdioRequest({ stderr: false });
    const ociProcessJson = JSON.stringify({ args, cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 }, ...more });
    await this.agent.call('ExecProcess', { containerId, processId, ociProcessJson, stdio, ignorePaused: false });
    const stdout = await connectToGuest(this.#vsock, AGENT_STDIO_PORT);
    stdout.write(`${stdio.token} stdout\n`);
    const printed = await collect(stdout);
    await this.agent.wait({ containerId, processId });
    return printed.toString();
  }

  [Symbol.dispose](): void {
    this.agent.close();
  }
}
