// Hooks, where each side of them is looked at by itself: a VM has no part in it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BUSYBOX, type Runtime, RuntimeBed, shell } from './harness.ts';

export function describeHooks(runtime: Runtime): void {
  describe('hooks', () => {
    test('run at their points, with the state on their standard input', async () => {
      await using bed = new RuntimeBed(runtime);
      const log = join(bed.folder, 'hooks.log');
      const hook = (name: string) => [
        { path: '/bin/sh', args: ['sh', '-c', `echo ${name} $(cat) >>${log}`], env: ['PATH=/bin'] },
      ];
      const hooks = {
        prestart: hook('prestart'),
        createRuntime: hook('createRuntime'),
        poststart: hook('poststart'),
        poststop: hook('poststop'),
      };
      await bed.detached(['create', '-b', bed.bundle({ ...shell('sleep 1000'), hooks }), 'c1']);
      const { pid } = await bed.state('c1');

      await bed.call(['start', 'c1']);
      await bed.call(['delete', '--force', 'c1']);

      const lines = readFileSync(log, 'utf8').trim().split('\n');
      expect(lines.map((line) => line.split(' ')[0])).toEqual(['prestart', 'createRuntime', 'poststart', 'poststop']);
      expect(lines[1]).toMatch(new RegExp(`"pid":${pid}\\b`));
      expect(lines[3]).toMatch(/"status":"stopped"/);
    });

    test('one that fails before the start fails the creation, which leaves nothing', async () => {
      await using bed = new RuntimeBed(runtime);
      const hooks = { createRuntime: [{ path: '/bin/false' }] };

      const result = await bed.call(['run', '-b', bed.bundle({ ...shell('exit 0'), hooks }), 'c1']);

      expect(result.status).toBe(1);
      expect(result.stderr).toMatch(bed.words(/error running .*hook #0: .*exit status 1/));
      expect(bed.leftovers()).toEqual([]);
    });

    test('of the container run in it: the first with a static program of the host, the second with its own', async () => {
      await using bed = new RuntimeBed(runtime);
      const script = (file: string) => ['sh', '-c', `{ cat; echo; hostname; echo $0; } > ${file}`, 'given'];
      const hooks = {
        createContainer: [{ path: BUSYBOX, args: script('etc/create'), env: ['PATH=/bin'] }],
        startContainer: [{ path: '/bin/sh', args: script('/etc/start'), env: ['PATH=/bin'] }],
      };
      const bundle = bed.bundle({ ...shell('cat /etc/create /etc/start'), hooks });

      const result = await bed.call(['run', '-b', bundle, 'c1']);

      expect(result).toMatchObject({ status: 0, stderr: '' });
      const [created = '', , , started = '', ...last] = result.stdout.trimEnd().split('\n');
      expect(JSON.parse(created)).toMatchObject({ id: 'c1', status: 'creating', pid: 1, bundle });
      expect(JSON.parse(started)).toMatchObject({ id: 'c1', status: 'created', pid: 1, bundle });
      expect(last).toEqual(['tskata', 'given']);
    });

    test('of the container that fail fail the call, and leave nothing', async () => {
      await using bed = new RuntimeBed(runtime);
      const createContainer = [{ path: BUSYBOX, args: ['sh', '-c', 'echo because >&2; exit 3'] }];

      const result = await bed.call([
        'run',
        '-b',
        bed.bundle({ ...shell('exit 0'), hooks: { createContainer } }),
        'c1',
      ]);

      expect(result.status).toBe(1);
      expect(result.stderr).toMatch(bed.words(/error running .*hook #0: .*exit status 3, stdout: , stderr: because/));
      expect(bed.leftovers()).toEqual([]);
    });

    test('before the program that fail end the container, whose program does not run', async () => {
      await using bed = new RuntimeBed(runtime);
      const startContainer = [{ path: '/bin/sh', args: ['sh', '-c', ': > /hook-ran; exit 1'] }];
      const bundle = bed.bundle({ ...shell(': > /program-ran'), hooks: { startContainer } });

      const result = await bed.call(['run', '-b', bundle, 'c1']);

      expect(result.status).toBe(1);
      expect(readdirSync(join(bundle, 'rootfs')).filter((name) => name.endsWith('-ran'))).toEqual(['hook-ran']);
      expect(bed.leftovers()).toEqual([]);
    });
  });
}
