// Processors and memory that come and go while a guest works.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildVm, restoreVm, type Vm, type VmConfig } from '../../src/index.ts';
import { MIB } from '../../src/lib/units.ts';
import { startAgentVm } from './agent-guest.ts';
import { runVm } from './library-harness.ts';
import { KERNEL, QUIET, useGuestFiles } from './tsvm-harness.ts';

const files = useGuestFiles();
const MOVABLE = 'memory_hotplug.online_policy=auto-movable';
const PATIENCE = { timeout: 120_000, interval: 500 };

const counters = (vm: Vm) => vm.metrics().devices.find(({ type }) => type === 'mem')?.counters;

/** Waits until the guest has as much memory as it is told to have. */
async function resizeMemory(vm: Vm, memoryMib: number): Promise<void> {
  await expect.poll(() => vm.resize({ memoryMib }), PATIENCE).toEqual({ memoryMib });
}

test('a guest that has grown goes on from a snapshot, with all of its memory, and can grow further', async () => {
  const script = `echo READY; while read line; do eval "$line"; echo "done: $line"; done`;
  const machine: VmConfig = {
    kernelPath: KERNEL,
    initrdPath: files.initramfs('snapshot', script),
    commandLine: `${QUIET} ${MOVABLE}`,
    memoryMib: 64,
    maxMemoryMib: 512,
    cpus: 1,
    maxCpus: 2,
    serial: true,
  };
  const snapshot = files.path('grown');
  rmSync(snapshot, { recursive: true, force: true });
  const fill =
    'mount -t tmpfs -o size=100% tmpfs /mnt; for n in $(seq 40000); do echo "line $n of a file that is in new memory"; done > /mnt/file; for n in 1 2 3 4 5 6 7 8; do cat /mnt/file; done > /mnt/all; md5sum /mnt/all';
  let digest = '';
  {
    await using running = await runVm((connections) => buildVm(machine, connections));
    await running.printed('READY');
    await resizeMemory(running.vm, 192);
    running.type(`${fill}\n`);
    await running.printed('  /mnt/all');
    digest = /([0-9a-f]{32}) {2}\/mnt\/all/.exec(running.output)?.[1] ?? 'none';
    await running.vm.snapshot(snapshot, { resume: false });
  }
  await using restored = await runVm((connections) => restoreVm(snapshot, {}, connections));
  restored.type('echo "sum=$(md5sum < /mnt/all)"; grep MemTotal /proc/meminfo\n');
  await restored.printed('MemTotal:');

  expect(restored.output).toContain(`sum=${digest}`);
  expect(counters(restored.vm)).toMatchObject({
    plugged_bytes: 128 * MIB,
  });
  await resizeMemory(restored.vm, 320);
  const again = files.path('grown-again');
  await restored.vm.snapshot(again, { resume: true });
  expect(JSON.parse(readFileSync(join(again, 'manifest.json'), 'utf8')).memory.bytes).toBe(64 * MIB + 2048 * MIB);
});

test('the agent takes processors into use and out of it, for few exits until then', async () => {
  await using agentVm = await startAgentVm(files, { maxMemoryMib: 512, cpus: 1, maxCpus: 3, words: MOVABLE });
  const { vm, guest } = agentVm;
  const exits = [...vm.exitCounts.values()].reduce((sum, count) => sum + count, 0);
  const online = async () => (await guest.agent.call('GuestDetails', {})).onlineCpus;

  expect(exits).toBeLessThan(100);
  expect(await online()).toBe(1);
  expect(await vm.resize({ cpus: 3 })).toEqual({ memoryMib: 192, cpus: 3 });
  expect(await online()).toBe(3);
  expect(await vm.resize({ cpus: 2 })).toEqual({ memoryMib: 192, cpus: 2 });
  expect(await online()).toBe(2);
});
