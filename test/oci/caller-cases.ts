// `tskata` and who calls it: interrupts, hangs, two at once, what cannot be written or read. A VM has no part in it.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ended, type Runtime, RuntimeBed, shell, until } from './harness.ts';

export function describeTskataCallers(runtime: Runtime): void {
  test.each(['SIGINT', 'SIGTERM'] as const)('%s while a container is made leaves nothing of it', async (signal) => {
    await using bed = new RuntimeBed(runtime);
    const waiting = join(bed.folder, 'waiting');
    const hook = { path: '/bin/sh', args: ['sh', '-c', `: >${waiting}; exec sleep 1000`] };
    const running = bed.spawn('run', '-b', bed.bundle({ ...shell('exit 0'), hooks: { prestart: [hook] } }), 'c1');
    const end = ended(running);
    await until(() => existsSync(waiting));

    running.kill(signal);

    expect((await end).stderr).toContain('tskata run failed');
    expect(bed.leftovers()).toEqual([]);
  });

  test.each([
    ['create', 'prestart'],
    ['start', 'poststart'],
  ] as const)('delete --force ends a %s whose hook does not end', async (verb, point) => {
    await using bed = new RuntimeBed(runtime);
    const waiting = join(bed.folder, 'waiting');
    const hook = { path: '/bin/sh', args: ['sh', '-c', `: >${waiting}; exec sleep 1000`] };
    const bundle = bed.bundle({ ...shell('sleep 1000'), hooks: { [point]: [hook] } });
    const hung = bed.spawn(...(verb === 'create' ? ['create', '-b', bundle, 'c1'] : ['run', '-d', '-b', bundle, 'c1']));
    const end = ended(hung);
    await until(() => existsSync(waiting));

    expect(await bed.call(['delete', '--force', 'c1'])).toMatchObject({ status: 0, stderr: '' });
    expect((await end).status).toBe(1);
    expect(bed.leftovers()).toEqual([]);
  });

  test('leaves no container when the report cannot be written', async () => {
    await using bed = new RuntimeBed(runtime);
    const reportPath = join(bed.folder, 'nonexistent/report.json');

    const result = await bed.call(['--report', reportPath, 'run', '-b', bed.bundle(shell('exit 0')), 'c1']);

    expect(result.status).toBe(1);
    expect(result.stderr).toContain(`no such file or directory, copyfile`);
    expect(bed.leftovers()).toEqual([]);
  });

  describe('a record that cannot be read', () => {
    test('does not keep delete --force from ending what runs', async () => {
      await using bed = new RuntimeBed(runtime);
      await bed.detached(['run', '--detach', '-b', bed.bundle(shell('sleep 1000')), 'c1']);
      writeFileSync(join(bed.root, 'c1/state.json'), '');

      const kept = await bed.call(['delete', 'c1']);
      const deleted = await bed.call(['delete', '--force', 'c1']);

      expect(kept.stderr).toContain('state.json is damaged: remove the container with: tskata delete --force c1');
      expect(deleted).toEqual({ status: 0, stdout: '', stderr: '' });
      await until(() => bed.leftovers().length === 0);
    });
  });

  describe('callers', () => {
    test('may keep state in folders whose names are longer than a socket path', async () => {
      await using bed = new RuntimeBed(runtime, `moby/${'a'.repeat(64)}`);
      const id = 'b'.repeat(64);

      const result = await bed.call(['run', '-b', bed.bundle(shell('echo deep')), id]);

      expect(result).toEqual({ status: 0, stdout: 'deep\n', stderr: '' });
      expect(bed.leftovers()).toEqual([]);
    });

    test('that create the same id at once: one gets it', async () => {
      await using bed = new RuntimeBed(runtime);
      const bundle = bed.bundle(shell('echo won'));

      const results = await Promise.all([1, 2, 3].map(() => bed.call(['run', '-b', bundle, 'c1'])));

      expect(results.map(({ status, stdout }) => `${status} ${stdout}`).sort()).toEqual(['0 won\n', '1 ', '1 ']);
      expect(results.map(({ stderr }) => stderr).join('')).toMatch(/already exists.*already exists/s);
      expect(bed.leftovers()).toEqual([]);
    });

    test('that delete the same container at once: one does, the other finds none', async () => {
      await using bed = new RuntimeBed(runtime);
      await bed.call(['run', '--keep', '-b', bed.bundle(shell('exit 0')), 'c1']);

      const results = await Promise.all([1, 2].map(() => bed.call(['delete', 'c1'])));

      expect(results.map(({ status }) => status).sort()).toEqual([0, 1]);
      expect(results.map(({ stderr }) => stderr).join('')).toContain('container does not exist');
      expect(bed.leftovers()).toEqual([]);
    });
  });
}
