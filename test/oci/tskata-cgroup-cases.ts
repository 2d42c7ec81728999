// The control groups of a sandbox: the processes of one VM, and what holds for all of them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ContainerRecord } from '../../src/runtime/state-store.ts';
import { cgroupsOf, controls } from './cgroup-cases.ts';
import { cgroupMounts, ended, isRunning, type Runtime, RuntimeBed, shell, until } from './harness.ts';

const SLEEP = shell('sleep 1000');

/** A process and those that serve its VM: not the guest, where that is a process that makes control groups of its own. */
function backEnds(pid: number): number[] {
  const tasks = readdirSync(`/proc/${pid}/task`).map((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8'),
  );
  const children = tasks.flatMap((text) => text.trim().split(' ')).filter(Boolean);
  const nameOf = (child: string): string => readFileSync(`/proc/${child}/comm`, 'utf8').trim();
  return [pid, ...children.filter((child) => nameOf(child).startsWith('virtiofsd')).map(Number)];
}

/** Makes a control group in all trees with a process in it. */
function occupy(path: string): { readonly pid: number } & AsyncDisposable {
  const child = spawn('/bin/sleep', ['1000'], { stdio: 'ignore' });
  const folders = cgroupMounts().map((mountPoint) => join(mountPoint, path));
  // A cpuset of version 1 takes nobody before it has processors and memory: it stays empty.
  for (const folder of folders) mkdirSync(folder, { recursive: true });
  for (const folder of folders.filter((folder) => !folder.includes('/cpuset/'))) {
    writeFileSync(join(folder, 'cgroup.procs'), String(child.pid));
  }
  return {
    pid: Number(child.pid),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

export function describeTskataCgroups(runtime: Runtime): void {
  describe('the control groups of a sandbox', () => {
    test('have in every tree its process, what serves its VM, and the proxy', async () => {
      await using bed = new RuntimeBed(runtime);
      const path = `/${bed.name}/all`;

      await bed.detached(['create', '-b', bed.bundle({ ...SLEEP, cgroupsPath: path, oomScoreAdj: 77 }), 'c1']);

      const { sandbox, init } = JSON.parse(readFileSync(join(bed.root, 'c1/state.json'), 'utf8')) as ContainerRecord;
      const pids = [...backEnds(sandbox?.pid ?? 0), init?.pid ?? 0];
      expect(new Set(pids.flatMap(cgroupsOf))).toEqual(new Set([path]));
      expect(readFileSync(`/proc/${sandbox?.pid}/oom_score_adj`, 'utf8')).toBe('77\n');
    });

    // runc up to 1.1 warns of them only.
    test('with processes of others in them are refused, and left as they are', async () => {
      await using bed = new RuntimeBed(runtime);
      const path = `/${bed.name}/taken`;
      await using other = occupy(path);

      const result = await bed.call(['run', '-b', bed.bundle({ ...SLEEP, cgroupsPath: path }), 'c1']);

      expect(result.status).toBe(1);
      expect(result.stderr).toContain("container's cgroup is not empty: 1 process(es) found");
      expect(isRunning(other.pid)).toBe(true);
      expect(cgroupsOf(other.pid)).toContain(path);
      expect(bed.leftovers().filter((line) => !line.startsWith('cgroup'))).toEqual([]);
    });

    test('limit memory to what the VM has and its overhead, though nothing was asked for', async () => {
      await using bed = new RuntimeBed(runtime);
      const path = `/${bed.name}/memory`;

      await bed.detached(['create', '-b', bed.bundle({ ...SLEEP, cgroupsPath: path }), 'c1']);

      const [limit] = [...controls(path, 'memory.max'), ...controls(path, 'memory.limit_in_bytes')].map(Number);
      expect(limit).toBeGreaterThan(256 * 1024 * 1024);
      expect(limit).toBeLessThan(4 * 1024 * 1024 * 1024);
    });

    test('are removed after kill -9 of the verb that creates, by delete --force', async () => {
      await using bed = new RuntimeBed(runtime);
      const creating = bed.spawn('create', '-b', bed.bundle(SLEEP), 'c1');
      const end = ended(creating);
      await until(() => bed.leftovers().some((line) => line.startsWith('cgroup')));

      creating.kill('SIGKILL');
      await end;
      const deleted = await bed.call(['delete', '--force', 'c1']);

      expect(deleted).toEqual({ status: 0, stdout: '', stderr: '' });
      // A sandbox that had no time to be noted ends by itself: it sees that its starter is gone as soon as it looks.
      await until(() => bed.leftovers().length === 0);
    });

    test('may be made again under the same path', async () => {
      await using bed = new RuntimeBed(runtime);
      const bundle = bed.bundle(shell('echo hello'));

      const results = [await bed.call(['run', '-b', bundle, 'c1']), await bed.call(['run', '-b', bundle, 'c1'])];

      expect(results.map(({ stdout }) => stdout)).toEqual(['hello\n', 'hello\n']);
      expect(bed.leftovers()).toEqual([]);
    });

    test("are no business of the guest's: processors and block devices of the host are not asked of it", async () => {
      await using bed = new RuntimeBed(runtime);
      const resources = { cpu: { cpus: '0', mems: '0' }, blockIO: { throttleReadBpsDevice: [] }, rdma: {} };

      const result = await bed.call(['run', '-b', bed.bundle({ ...shell('echo hello'), resources }), 'c1']);

      expect(result).toEqual({ status: 0, stdout: 'hello\n', stderr: '' });
    });
  });

  describe('--systemd-cgroup where systemd does not run', () => {
    test('makes the same control groups, with a warning', async () => {
      await using bed = new RuntimeBed(runtime);
      const [a, name] = [bed.name.replaceAll('-', '_'), `${bed.name}-`];
      const bundle = bed.bundle({ ...SLEEP, cgroupsPath: `${a}-b.slice:docker:${name}` });

      const result = await bed.detached(['--systemd-cgroup', 'create', '-b', bundle, 'c1']);

      const { pid } = await bed.state('c1');
      expect(result.stderr).toContain('systemd does not run on this host');
      expect(cgroupsOf(pid)).toContain(`/${a}.slice/${a}-b.slice/docker-${name}.scope`);
      await bed.call(['delete', '--force', 'c1']);
      expect(bed.leftovers()).toEqual([]);
    });

    test('wants a path of its form', async () => {
      await using bed = new RuntimeBed(runtime);

      const result = await bed.call(['--systemd-cgroup', 'create', '-b', bed.bundle(SLEEP), 'c1']);

      expect(result.stderr).toMatch(/expected cgroupsPath to be of format .*slice:prefix:name/);
      expect(bed.leftovers()).toEqual([]);
    });
  });
}
