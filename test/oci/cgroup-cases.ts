// Where the process that stands for a container is on the host: what callers read there, and what is left.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cgroupMounts, type Runtime, RuntimeBed, shell } from './harness.ts';

const SLEEP = shell('sleep 1000');

/** Paths of a process's control groups, in all trees. */
export function cgroupsOf(pid: number): string[] {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n');
  return lines.map((line) => line.split(':').slice(2).join(':'));
}

/** The values of a control file in a control group, of the trees that have it. */
export function controls(path: string, file: string): string[] {
  return cgroupMounts().flatMap((mountPoint) => {
    try {
      return [readFileSync(join(mountPoint, path, file), 'utf8').trim()];
    } catch {
      return [];
    }
  });
}

/** Cases that any runtime with runc's commands passes. */
export function describeCgroups(runtime: Runtime): void {
  describe('control groups on the host', () => {
    test('a created container and its execs are in cgroupsPath', async () => {
      await using bed = new RuntimeBed(runtime);
      const path = `/${bed.name}/named`;
      const execPid = join(bed.folder, 'exec.pid');
      const bundle = bed.bundle({ ...SLEEP, cgroupsPath: path });

      await bed.detached(['create', '-b', bundle, 'c1']);
      const { pid } = await bed.state('c1');
      const created = cgroupsOf(pid);
      await bed.call(['start', 'c1']);
      const executed = await bed.detached(['exec', '--detach', '--pid-file', execPid, 'c1', 'sleep', '1000']);

      expect(created).toContain(path);
      expect(executed).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(cgroupsOf(Number(readFileSync(execPid, 'utf8')))).toEqual(created);
    });

    test('are gone after delete', async () => {
      await using bed = new RuntimeBed(runtime);
      await bed.detached(['run', '--detach', '-b', bed.bundle(SLEEP), 'c1']);
      const during = bed.leftovers().filter((line) => line.startsWith('cgroup'));

      await bed.call(['delete', '--force', 'c1']);

      expect(during).not.toEqual([]);
      expect(bed.leftovers()).toEqual([]);
    });

    test.each([
      ['..', (name: string) => `/../../${name}/up`, (name: string) => `/${name}/up`],
      ['a path that is not absolute', (name: string) => `${name}/relative`, (name: string) => `/${name}/relative`],
    ])('%s leads to a place below the top', async (_what, path, expected) => {
      await using bed = new RuntimeBed(runtime);

      await bed.detached(['create', '-b', bed.bundle({ ...SLEEP, cgroupsPath: path(bed.name) }), 'c1']);

      const { pid } = await bed.state('c1');
      expect(cgroupsOf(pid).filter((path) => path.endsWith(expected(bed.name)))).not.toEqual([]);
    });

    test('have the name of the container where there is no path', async () => {
      await using bed = new RuntimeBed(runtime);
      const id = `id-of-${bed.name}-`;

      await bed.detached(['create', '-b', bed.bundle({ ...SLEEP, cgroupsPath: '' }), id]);

      expect(cgroupsOf((await bed.state(id)).pid).filter((path) => path.endsWith(`/${id}`))).not.toEqual([]);
    });

    test('are gone when the program cannot be started', async () => {
      await using bed = new RuntimeBed(runtime);

      const result = await bed.call(['run', '-b', bed.bundle({ args: ['/nonexistent'] }), 'c1']);

      expect(result.status).toBe(1);
      expect(bed.leftovers()).toEqual([]);
    });

    test('have the processors that were asked for', async () => {
      await using bed = new RuntimeBed(runtime);
      const options = { ...SLEEP, cgroupsPath: `/${bed.name}/limited`, resources: { cpu: { cpus: '0', mems: '0' } } };

      await bed.detached(['create', '-b', bed.bundle(options), 'c1']);

      expect(controls(`/${bed.name}/limited`, 'cpuset.cpus')).toEqual(['0']);
      expect(readFileSync(`/proc/${(await bed.state('c1')).pid}/status`, 'utf8')).toMatch(/^Cpus_allowed_list:\t0$/m);
    });

    test('that cannot have what was asked for are an error, and gone', async () => {
      await using bed = new RuntimeBed(runtime);

      const result = await bed.call([
        'run',
        '-b',
        bed.bundle({ ...SLEEP, resources: { cpu: { cpus: '8000' } } }),
        'c1',
      ]);

      expect(result.status).toBe(1);
      expect(result.stderr).toContain('cpuset.cpus');
      expect(bed.leftovers()).toEqual([]);
    });
  });

  test('process.oomScoreAdj holds for the process that stands for the container', async () => {
    await using bed = new RuntimeBed(runtime);

    await bed.detached(['create', '-b', bed.bundle({ ...SLEEP, oomScoreAdj: 321 }), 'c1']);

    const { pid } = await bed.state('c1');
    expect(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8')).toBe('321\n');
  });
}
