// `ps`, as every runtime that takes runc's commands must do it, and what is particular to tskata.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runningContainer, sharedContainer } from './exec-cases.ts';
import { isRunning, type Runtime, until } from './harness.ts';

export function describePs(runtime: Runtime): void {
  describe('ps', () => {
    const container = sharedContainer(runtime);

    test('--format json prints pids of this host, that of the state among them', async () => {
      const bed = await container();
      const pidFile = join(bed.folder, 'exec.pid');
      await bed.detached(['exec', '-d', '--pid-file', pidFile, 'c1', 'sleep', '1000']);
      const { pid } = await bed.state('c1');

      const { status, stdout, stderr } = await bed.call(['ps', '--format', 'json', 'c1']);

      const pids = JSON.parse(stdout) as number[];
      expect([status, stderr]).toEqual([0, '']);
      expect(pids).toEqual(expect.arrayContaining([pid, Number(readFileSync(pidFile, 'utf8'))]));
      expect(pids.length).toBeGreaterThanOrEqual(2);
      expect(pids.every(isRunning)).toBe(true);
    });

    test('prints a table of the processes', async () => {
      const bed = await container();
      await bed.detached(['exec', '-d', 'c1', 'sleep', '1234']);

      // runc asks the host's ps(1), which it looks for.
      const { status, stdout, stderr } = await bed.call(['ps', 'c1', '-ef'], '', { PATH: '/usr/bin:/bin' });

      const [head = '', ...rows] = stdout.trimEnd().split('\n');
      expect([status, stderr]).toEqual([0, '']);
      expect(head).toMatch(/^UID +PID +PPID .*CMD$/);
      expect(rows.some((row) => / sh -c trap /.test(row))).toBe(true);
      expect(rows.some((row) => / sleep 1234$/.test(row))).toBe(true);
    });
  });
}

export function describePsOfStopped(runtime: Runtime): void {
  describe('ps', () => {
    test('of a container that has stopped finds nothing', async () => {
      await using bed = await runningContainer(runtime);
      await bed.call(['kill', 'c1', 'KILL']);
      await bed.until('c1', 'stopped');

      const pids = await bed.call(['ps', '-f', 'json', 'c1']);
      const table = await bed.call(['ps', 'c1']);

      expect(pids).toEqual({ status: 0, stdout: 'null\n', stderr: '' });
      expect(table.stdout.trimEnd().split('\n')).toHaveLength(1);
    });
  });
}

export function describeTskataPs(runtime: Runtime): void {
  describe('ps', () => {
    test('has the pids of the container, so that they can be used in it', async () => {
      await using bed = await runningContainer(runtime);
      await bed.detached(['exec', '-d', 'c1', 'sleep', '1234']);

      const { stdout } = await bed.call(['ps', 'c1']);
      const pid = / (\d+) +\d+ .* sleep 1234$/m.exec(stdout)?.[1] ?? '';
      await bed.call(['exec', 'c1', 'kill', '-9', pid]);

      expect(stdout).toMatch(/^0 +1 +0 .* sh -c trap /m);
      for (;;) {
        const later = await bed.call(['ps', 'c1']);
        if (!later.stdout.includes('sleep 1234')) break;
      }
    });

    test('prints to json the processes that take signals: with them those of the guest end', async () => {
      await using bed = await runningContainer(runtime);
      await bed.detached(['exec', '-d', 'c1', 'sleep', '1234']);
      const before = JSON.parse((await bed.call(['ps', '-f', 'json', 'c1'])).stdout) as number[];
      const [init = 0, exec = 0] = before;

      process.kill(exec, 'SIGKILL');
      await until(() => !isRunning(exec));

      for (;;) {
        const { stdout } = await bed.call(['ps', 'c1']);
        if (!stdout.includes('sleep 1234')) break;
      }
      expect(before).toHaveLength(2);
      expect((await bed.call(['ps', '-f', 'json', 'c1'])).stdout).toBe(`[${init}]\n`);
    });

    test('says where the processes are when it is asked for other columns', async () => {
      await using bed = await runningContainer(runtime);

      const { status, stderr } = await bed.call(['ps', 'c1', 'aux']);

      expect(status).toBe(1);
      expect(stderr).toContain('the processes are in a virtual machine');
      expect(stderr).toContain('tskata exec c1 ps aux');
    });

    test('shows nothing to the terminal that a process has chosen to', async () => {
      await using bed = await runningContainer(runtime);
      await bed.detached(['exec', '-d', 'c1', 'sh', '-c', 'sleep 1234; exit', '\u001b[31mred\nline']);

      const { stdout } = await bed.call(['ps', 'c1']);

      expect(stdout).toContain('sh -c sleep 1234; exit ?[31mred?line\n');
    });
  });
}
