// Pid 1 of a guest outlives what containers do to the guest, and says why when it cannot live.
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectToGuest } from '../../src/agent-client/guest-socket.ts';
import { buildVm } from '../../src/index.ts';
import { AGENT_STDIO_PORT } from '../../src/protocol/agent-service.ts';
import { type ConfigParts, collect, config, stdioRequest } from '../agent/harness.ts';
import { type AgentGuest, type AgentVm, BOX, ROOTS_PATH, startAgentVm } from './agent-guest.ts';
import { runVm } from './library-harness.ts';
import { INITRAMFS, KERNEL, QUIET, useGuestFiles } from './tsvm-harness.ts';

const files = useGuestFiles();
const otherFiles = useGuestFiles();
const MEMORY_MIB = 128;

let machine: AgentVm;
let guest: AgentGuest;
let vsock: string;
beforeAll(async () => {
  machine = await startAgentVm(files, { memoryMib: MEMORY_MIB });
  ({ guest, vsock } = machine);
  await start('bystander', 'while :; do sleep 1000; done');
});
afterAll(async () => {
  await machine?.[Symbol.asyncDispose]();
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
    rootfsPath: `${ROOTS_PATH}/${BOX}`,
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

test('who writes to a reader on the host that has gone is told so at the first write, as into a pipe', async () => {
  const stdio = stdioRequest({ stdin: true, stdout: true });
  await start('writer', 'read go; echo into the void || exit 9; exit 0', {}, stdio);
  const open = async (name: string) => {
    const socket = await connectToGuest(vsock, AGENT_STDIO_PORT);
    socket.write(`${stdio.token} ${name}\n`);
    return socket;
  };
  const [stdin, stdout] = [await open('stdin'), await open('stdout')];
  await delay(2000);
  stdout.destroy();
  await delay(2000);
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

test('a console whose output somebody has stopped stops nothing but that', async () => {
  await using other = await startAgentVm(otherFiles, { serial: true, words: '8250.nr_uarts=1 console=ttyS0' });
  let printed = '';
  const console = other.vm.attachConsole('serial', (bytes) => {
    printed += Buffer.from(bytes).toString();
  });
  // XOFF and XON (termios(3), IXON)
  console.write(Buffer.from('\x13'));
  await delay(1000);
  const unknown = Array.from({ length: 200 }, (_, index) => `CAP_UNKNOWN_${index}`);
  const create = (containerId: string) =>
    other.guest.agent.call('CreateContainer', {
      containerId,
      ociConfigJson: JSON.stringify(config(['true'], { process: { capabilities: { bounding: unknown } } })),
      rootfsPath: `${ROOTS_PATH}/${BOX}`,
      stdio: stdioRequest({ stdout: false, stderr: false }),
      seccomp: undefined,
      bundle: '',
    });
  for (const containerId of ['one', 'two']) expect((await create(containerId)).warnings).toHaveLength(200);

  expect(printed).not.toContain('CAP_UNKNOWN');
  console.write(Buffer.from('\x11'));
  await expect.poll(() => printed, { timeout: 60_000 }).toContain('CAP_UNKNOWN_0');
});

test('a fatal error is told on the console, and ends the guest', async () => {
  const parts = { kernelPath: KERNEL, initrdPath: INITRAMFS, memoryMib: 96, cpus: 1, serial: true };
  const commandLine = `${QUIET} -- --bogus`;
  await using running = await runVm((connections) => buildVm({ ...parts, commandLine }, connections));
  await running.printed('tskata-agent: fatal: Error: usage: agent (as pid 1 of a guest)');
  await running.printed('Attempted to kill init!');
  expect(await running.vm.stopped).toEqual({ kind: 'guest-reset' });
});
