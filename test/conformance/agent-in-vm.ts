// The agent in a virtual machine: one boot for the whole suite, whose containers have their files on a share.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectToGuest } from '../../src/agent-client/guest-socket.ts';
import { buildVm } from '../../src/index.ts';
import { AGENT_STDIO_PORT } from '../../src/protocol/agent-service.ts';
import { AgentGuest, ROOTS_PATH, ROOTS_TAG } from '../guest/agent-guest.ts';
import { INITRAMFS, KERNEL } from '../guest/tsvm-harness.ts';
import { AgentEngine } from './agent-engine.ts';

const COMMAND_LINE = 'reboot=k panic=-1 quiet 8250.nr_uarts=0';
/** Those that the guest's kernel is built with (kernel-config). */
const CONTROLLERS = ['cpu', 'cpuset', 'hugetlb', 'io', 'memory', 'pids'];

export async function startAgentInVm(): Promise<AgentEngine> {
  await using resources = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'conformance-'));
  resources.defer(() => rmSync(folder, { recursive: true, force: true }));
  const [roots, vsock] = [join(folder, 'roots'), join(folder, 'vsock')];
  mkdirSync(roots, { mode: 0o711 });
  const server = AgentGuest.listen(vsock);
  const vm = resources.use(
    await buildVm(
      {
        kernelPath: KERNEL,
        initrdPath: INITRAMFS,
        commandLine: COMMAND_LINE,
        memoryMib: 256,
        cpus: 1,
        vsock: { guestCid: 3, path: vsock },
        shares: [{ tag: ROOTS_TAG, directory: roots }],
      },
      { log: () => undefined },
    ),
  );
  vm.start();
  const guest = resources.use(await AgentGuest.greet(server, vsock));
  const owned = resources.move();
  return new AgentEngine('the agent in a VM', {
    worlds: ['vm', 'guest'],
    controllers: CONTROLLERS,
    tries: 3,
    shared: { outside: roots, inside: ROOTS_PATH },
    call: (name, request) => guest.agent.call(name, request),
    wait: (request) => guest.agent.wait(request),
    stream: async (stdio, name) => {
      const socket = await connectToGuest(vsock, AGENT_STDIO_PORT);
      socket.write(`${stdio.token} ${name}\n`);
      return socket;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  });
}
