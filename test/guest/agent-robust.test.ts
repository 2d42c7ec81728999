// Pid 1 of a guest outlives what containers do to the guest, and says why when it cannot live.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectToGuest } from '../../src/agent-client/guest-socket.ts';
import { buildVm, type Vm } from '../../src/index.ts';
import { AGENT_STDIO_PORT } from '../../src/protocol/agent-service.ts';
import { type ConfigParts, collect, config, stdioRequest } from '../agent/harness.ts';
import { AgentGuest, ROOTS_PATH, ROOTS_TAG } from './agent-guest.ts';
import { runVm } from './library-harness.ts';
import { BUILD, INITRAMFS, KERNEL, QUIET, useGuestFiles } from './tsvm-harness.ts';

const files = useGuestFiles();
const MEMORY_MIB = 128;

let vm: Vm;
let guest: AgentGuest;
let vsock: string;
beforeAll(async () => {
  const roots = files.path('roots');
  vsock = files.path('agent.vsock');
  mkdirSync(roots);
  execFileSync('cp', ['-a', join(BUILD, 'guest/rootfs'), join(roots, 'box')]);
  const server = AgentGuest.listen(vsock);
  const machine = {
    kernelPath: KERNEL,
    initrdPath: INITRAMFS,
    commandLine: 'reboot=k panic=-1 quiet 8250.nr_uarts=0',
    memoryMib: MEMORY_MIB,
    cpus: 1,
    vsock: { guestCid: 3, path: vsock },
    shares: [{ tag: ROOTS_TAG, directory: roots }],
  };
  vm = await buildVm(machine, { log: () => undefined });
  vm.start();
  guest = await AgentGuest.greet(server, vsock);
  await start('bystander', 'while :; do sleep 1000; done');
});
afterAll(async () => {
  guest[Symbol.dispose]();
  await vm[Symbol.asyncDispose]();
});

async function start(
  containerId: string,
  script: string,
  more: ConfigParts = {},
  stdio = stdioRequest({ stdout: false }),
) {
  await guest.agent.call('CreateContainer', {
    containerId,
    ociConfigJson: JSON.stringify(config(['sh', '-c', script], more)),
    rootfsPath: `${ROOTS_PATH}/box`,
    stdio: { ...stdio, stderr: false },
    seccomp: undefined,
    bundle: '',
  });
  await guest.agent.call('StartContainer', { containerId });
}

const ended = (containerId: string) => guest.agent.wait({ containerId, processId: '' });
const remove = (containerId: string) => guest.agent.call('DeleteContainer', { containerId, force: true });

/** The agent answers, holds no more than before, and who had nothing to do with it still runs. */
async function expectUnharmed(): Promise<void> {
  const { agentResidentBytes } = await guest.agent.call('GuestDetails', {});
  expect(agentResidentBytes).toBeLessThan(8n * 1024n * 1024n);
  expect(await guest.exec('bystander', ['echo', 'here'])).toBe('here\n');
}

describe('pid 1 outlives', () => {
  test('a fork bomb that its limit of processes holds, and takes it away', async () => {
    await start('bomb', 'bomb() { bomb | bomb & }; bomb; sleep 1000', {
      linux: { resources: { pids: { limit: 40 } } },
    });
    await delay(2000);
    await expectUnharmed();
    await remove('bomb');
    const left = await guest.exec('bystander', ['sh', '-c', 'ls -d /proc/[0-9]* | wc -l']);
    expect(Number(left)).toBeLessThan(10);
    await expectUnharmed();
  });

  test('a container whose processes take all memory there is', async () => {
    const kills = async () =>
      Number((await guest.exec('bystander', ['grep', 'oom_kill', '/proc/vmstat'])).split(' ')[1]);
    const before = await kills();
    const script = `for i in 1 2 3 4; do dd if=/dev/zero of=/dev/null bs=${MEMORY_MIB / 2}M & done; wait; sleep 1000`;
    await start('hogs', script);
    await expect.poll(kills, { timeout: 120_000, interval: 500 }).toBeGreaterThan(before);
    await expectUnharmed();
    await remove('hogs');
    await expectUnharmed();
  });

  test('a full tmpfs and orphans without number', async () => {
    await start('filler', 'dd if=/dev/zero of=/dev/full-up bs=1M; for i in $(seq 50); do (sleep 0.1 &); done; exit 7', {
      linux: { namespaces: [{ type: 'mount' }] },
      hostname: '',
    });
    expect(await ended('filler')).toMatchObject({ exitStatus: 7 });
    await remove('filler');
    await expectUnharmed();
  });
});

test('who writes to a reader on the host that has gone is told so', async () => {
  const stdio = stdioRequest({ stdin: true, stdout: true });
  await start('writer', 'read go; while echo into the void; do sleep 0.1; done; exit 9', {}, stdio);
  const open = async (name: string) => {
    const socket = await connectToGuest(vsock, AGENT_STDIO_PORT);
    socket.write(`${stdio.token} ${name}\n`);
    return socket;
  };
  const [stdin, stdout] = [await open('stdin'), await open('stdout')];
  await delay(500);
  stdout.destroy();
  await delay(500);
  stdin.write('go\n');

  // The first process of a pid namespace ignores SIGPIPE, so it is told by EPIPE.
  expect(await ended('writer')).toMatchObject({ exitStatus: 9 });
  stdin.destroy();
  await remove('writer');
});

test('output of 8 MiB comes whole through vsock to a reader that stalls', async () => {
  const stdio = stdioRequest({ stdout: true });
  await start('talker', 'sleep 1; yes 0123456789abcde | head -c 8388608', {}, stdio);
  const socket = await connectToGuest(vsock, AGENT_STDIO_PORT);
  socket.write(`${stdio.token} stdout\n`);
  socket.pause();
  await delay(3000);
  await expectUnharmed();

  const printed = await collect(socket);
  expect(printed.length).toBe(8 * 1024 * 1024);
  expect(printed.equals(Buffer.alloc(printed.length, '0123456789abcde\n'))).toBe(true);
  await remove('talker');
});

test('a fatal error is told on the console, and ends the guest', async () => {
  const machine = { kernelPath: KERNEL, initrdPath: INITRAMFS, memoryMib: 96, cpus: 1, serial: true };
  const commandLine = `${QUIET} -- --bogus`;
  await using running = await runVm((connections) => buildVm({ ...machine, commandLine }, connections));
  await running.printed('tskata-agent: fatal: Error: usage: agent (as pid 1 of a guest)');
  await running.printed('Attempted to kill init!');
  expect(await running.vm.stopped).toEqual({ kind: 'guest-reset' });
});
