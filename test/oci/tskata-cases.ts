// What is particular to tskata: several processes stand behind a container, and any of them may die.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ContainerRecord } from '../../src/runtime/state-store.ts';
import { ended, isRunning, type Runtime, RuntimeBed, shell, until } from './harness.ts';

function record(bed: RuntimeBed, id: string): ContainerRecord {
  return JSON.parse(readFileSync(join(bed.root, id, 'state.json'), 'utf8')) as ContainerRecord;
}

export function describeTskata(runtime: Runtime): void {
  describe('when a process behind the container dies', () => {
    test('kill -9 of the sandbox process stops the container, and delete cleans up', async () => {
      await using bed = new RuntimeBed(runtime);
      await bed.detached(['run', '--detach', '-b', bed.bundle(shell('sleep 1000')), 'c1']);
      const { pid } = await bed.state('c1');

      process.kill(record(bed, 'c1').sandbox?.pid ?? 0, 'SIGKILL');
      await bed.until('c1', 'stopped');
      const killed = await bed.call(['kill', 'c1', '9']);
      const deleted = await bed.call(['delete', 'c1']);

      expect(isRunning(pid)).toBe(false);
      expect(killed.stderr).toContain('container not running');
      expect(deleted).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(bed.leftovers()).toEqual([]);
    });

    test('the process that stands for it ends with 137 then', async () => {
      await using bed = new RuntimeBed(runtime);
      const running = bed.spawn('run', '-b', bed.bundle(shell('echo up; sleep 1000')), 'c1');
      const exit = new Promise((resolve) => running.once('exit', resolve));
      await new Promise((resolve) => running.stdout?.once('data', resolve));
      await bed.until('c1', 'running');

      process.kill(record(bed, 'c1').sandbox?.pid ?? 0, 'SIGKILL');

      expect(await exit).toBe(137);
      expect(bed.leftovers()).toEqual([]);
    });

    test('run says why the sandbox ended, when that was before the program did', async () => {
      await using bed = new RuntimeBed(runtime);
      const running = bed.spawn('run', '-b', bed.bundle(shell('echo up; sleep 1000')), 'c1');
      const result = ended(running);
      await new Promise((resolve) => running.stdout?.once('data', resolve));
      await bed.until('c1', 'running');

      process.kill(record(bed, 'c1').sandbox?.pid ?? 0, 'SIGTERM');

      const { status, stderr } = await result;
      expect(stderr).toContain("the sandbox ended before the container's program did: it got SIGTERM");
      expect(status).toBe(137);
      expect(bed.leftovers()).toEqual([]);
    });

    test('kill -9 of the proxy ends the guest process, and with it the VM', async () => {
      await using bed = new RuntimeBed(runtime);
      await bed.detached(['run', '--detach', '-b', bed.bundle(shell('sleep 1000')), 'c1']);
      const { sandbox, init } = record(bed, 'c1');

      process.kill(init?.pid ?? 0, 'SIGKILL');
      await until(() => !isRunning(sandbox?.pid ?? 0));

      expect((await bed.state('c1')).status).toBe('stopped');
    });

    test('kill -9 of the verb that creates leaves nothing that runs, and delete removes the rest', async () => {
      await using bed = new RuntimeBed(runtime);
      const creating = bed.spawn('create', '-b', bed.bundle(shell('sleep 1000')), 'c1');
      await until(() => existsSync(join(bed.root, 'c1/control.sock')));

      creating.kill('SIGKILL');
      await until(() => !bed.leftovers().some((line) => line.startsWith('process')));
      const state = await bed.state('c1');
      const deleted = await bed.call(['delete', 'c1']);

      expect(state.status).toBe('stopped');
      expect(deleted.status).toBe(0);
      expect(bed.leftovers()).toEqual([]);
    });
  });

  describe('the end of a container', () => {
    test('ends its VM, and leaves a report of the start', async () => {
      await using bed = new RuntimeBed(runtime);
      const reportPath = join(bed.folder, 'report.json');

      await bed.call(['--report', reportPath, 'run', '-b', bed.bundle(shell('echo hello')), 'c1']);

      const report = JSON.parse(readFileSync(reportPath, 'utf8'));
      const names = report.marks.map(({ name }: { name: string }) => name);
      expect(names.filter((name: string) => name !== 'vm-start').slice(0, 7)).toEqual([
        'command-start',
        'sandbox-start',
        'kernel-entry',
        'agent-start',
        'agent-ready',
        'container-created',
        'container-started',
      ]);
      expect(names).toContain('first-output');
      expect(names).toContain('container-exited');
      // A kernel that samples may give all of a short time to one of the two.
      expect(report.agentProcessorUs.user + report.agentProcessorUs.system).toBeGreaterThan(0);
      expect(report.guestKernelRelease).toMatch(/^\d+\.\d+/);
    });
  });

  describe('what cannot be in a VM', () => {
    test('descriptors to be preserved are refused', async () => {
      await using bed = new RuntimeBed(runtime);

      const result = await bed.call(['run', '--preserve-fds', '1', '-b', bed.bundle(shell('exit 0')), 'c1']);

      expect(result.status).toBe(1);
      expect(result.stderr).toContain(
        'cannot preserve 1 file descriptors: they cannot be passed into a virtual machine',
      );
    });

    test('a volume that is not there is named', async () => {
      await using bed = new RuntimeBed(runtime);
      const mounts = [{ destination: '/x', type: 'bind', source: '/nonexistent', options: ['bind'] }];

      const result = await bed.call(['run', '-b', bed.bundle({ ...shell('exit 0'), mounts }), 'c1']);

      expect(result.stderr).toContain('cannot share /nonexistent with the guest: no such file or directory');
      expect(bed.leftovers()).toEqual([]);
    });
  });
}
