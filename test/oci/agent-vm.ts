// Stands in for the virtual machine: the guest's real agent in namespaces of this machine, reached as through vsock. Everything
// but the VMM is the real thing, so the runtime is tested wherever root is, without a KVM.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { buildDirectory } from '../../scripts/lib/paths.ts';
import { joinSockets } from '../../src/host/join-sockets.ts';
import {
  AGENT_LOOPBACK_PORT,
  AGENT_RPC_PORT,
  AGENT_STDIO_PORT,
  SHARED_DIRECTORY,
} from '../../src/protocol/agent-service.ts';
import type { SandboxVm, SandboxVmOptions } from '../../src/runtime/sandbox-vm.ts';

/**
 * What the guest's kernel and virtio-fs would do: the shared folder appears, and what is mounted below it later too. The cgroup
 * tree has one version only.
 */
const BOOT = `mount -t cgroup2 cgroup2 /sys/fs/cgroup && mount -t tmpfs tmpfs ${SHARED_DIRECTORY.replace(/\/[^/]*$/, '')} && mkdir ${SHARED_DIRECTORY} &&
mount --rbind "$1" ${SHARED_DIRECTORY} && exec "$0" --listen-unix "$2"`;

/** What stands for the agent's ports, by the line that asks for each. */
const SOCKETS: Readonly<Record<string, string>> = {
  [`CONNECT ${AGENT_RPC_PORT}\n`]: 'agent.sock',
  [`CONNECT ${AGENT_STDIO_PORT}\n`]: 'stdio.sock',
  [`CONNECT ${AGENT_LOOPBACK_PORT}\n`]: 'loopback.sock',
};

export async function startAgentVm(options: SandboxVmOptions): Promise<SandboxVm> {
  // Relative, as all sockets of a sandbox are: absolute paths may be too long for one.
  const folder = 'agent';
  mkdirSync(folder);
  mkdirSync('/run/tskata', { recursive: true });
  // In a cgroup namespace, what the agent makes is below the sandbox's own control group, and no other agent's.
  const isolate = ['--pid', '--mount-proc', '--cgroup', '--mount', '--propagation', 'slave', '--fork', '--kill-child'];
  const agent = join(buildDirectory, 'guest/agent');
  const boot = ['/bin/sh', '-c', BOOT, agent, options.sharedDirectory, folder];
  options.onMark('kernel-entry', process.hrtime.bigint());
  const child = spawn('/usr/bin/setpriv', ['--pdeathsig', 'KILL', '/usr/bin/unshare', ...isolate, '--', ...boot], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const ended = once(child, 'exit').then(([status, signal]) => `the agent ended with ${signal ?? `status ${status}`}`);
  while (!existsSync(join(folder, 'stdio.sock'))) {
    if (child.exitCode !== null) throw new Error(await ended);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }

  joinSockets(dial(join(folder, 'agent.sock')), dial(`${options.vsockPath}_${AGENT_RPC_PORT}`));
  createServer({ allowHalfOpen: true }, (socket) => {
    let head = '';
    socket.on('data', function read(bytes: Buffer) {
      head += bytes.toString('latin1');
      const name = SOCKETS[head];
      if (name === undefined) return;
      socket.off('data', read);
      socket.write('OK 1\n');
      joinSockets(socket, dial(join(folder, name)));
    });
  }).listen(options.vsockPath);
  return {
    ended,
    // The agent is in this machine's network.
    cards: [],
    setLink: () => {},
    kill: () => child.kill('SIGKILL'),
    // There is no machine that could grow: whoever asks is told what they asked for.
    resize: async (wanted) => wanted,
    snapshot: async () => {
      throw new Error('there is no machine that could be saved');
    },
    exitCounts: () => ({}),
  };
}

function dial(path: string): Socket {
  return connect({ path, allowHalfOpen: true });
}
