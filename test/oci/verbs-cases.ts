// Verbs by misuse, and what they print, as every runtime that takes runc's commands must do; and what is particular to tskata.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runningContainer } from './exec-cases.ts';
import { type Runtime, RuntimeBed, shell } from './harness.ts';

export function describeVerbs(runtime: Runtime): void {
  describe('command lines', () => {
    test('take the flags of all verbs before the verb', async () => {
      await using bed = new RuntimeBed(runtime);
      const log = join(bed.folder, 'log.json');
      const flags = ['--debug', '--log', log, '--log-format', 'json', '--systemd-cgroup', '--rootless', 'auto'];

      const { status } = await bed.call([...flags, 'state', 'c1']);

      const logged = readFileSync(log, 'utf8').trimEnd().split('\n');
      const errors = logged.map((line) => JSON.parse(line)).filter(({ level }) => level === 'error');
      expect(status).toBe(1);
      expect(errors).toEqual([expect.objectContaining({ msg: 'container does not exist' })]);
    });

    test('a signal that is empty is SIGTERM', async () => {
      await using bed = await runningContainer(runtime);

      const { status } = await bed.call(['kill', 'c1', '']);

      expect(status).toBe(0);
      await bed.until('c1', 'stopped');
    });

    test('list shows whose containers they are, and state where their root is', async () => {
      await using bed = await runningContainer(runtime);

      const { stdout } = await bed.call(['list']);
      const { bundle, rootfs } = await bed.state('c1');

      expect(stdout).toMatch(/^ID +PID +STATUS +BUNDLE +CREATED +OWNER$/m);
      expect(stdout).toMatch(/^c1 +\d+ +running +\S+ +\S+Z +root$/m);
      expect(rootfs).toBe(join(bundle, 'rootfs'));
    });

    test('spec --rootless writes the configuration of a user', async () => {
      await using bed = new RuntimeBed(runtime);
      mkdirSync(bed.folder, { recursive: true });

      const { status, stderr } = await bed.call(['spec', '--rootless', '--bundle', bed.folder]);

      const { linux } = JSON.parse(readFileSync(join(bed.folder, 'config.json'), 'utf8'));
      expect([status, stderr]).toEqual([0, '']);
      expect(linux.uidMappings).toEqual([{ containerID: 0, hostID: 0, size: 1 }]);
      expect(linux.namespaces).toContainEqual({ type: 'user' });
      expect(linux.namespaces).not.toContainEqual({ type: 'network' });
    });
  });

  describe('checkpoint', () => {
    test('is refused for what does not run', async () => {
      await using bed = new RuntimeBed(runtime);
      await bed.detached(['create', '-b', bed.bundle(shell('sleep 1000')), 'c1']);

      const { status, stderr } = await bed.call(['checkpoint', 'c1']);

      expect(status).toBe(1);
      expect(stderr).toMatch(bed.words('Container cannot be checkpointed in created state'));
      expect((await bed.state('c1')).status).toBe('created');
    });
  });
}

/** Files of the root file system of a bundle may be anybody's. */
const NOBODY = ['/usr/bin/setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];

export function describeTskataVerbs(runtime: Runtime): void {
  describe('command lines', () => {
    test.each(['/proc/nosuch', '/dev/null/x'])('run says so where no folder can be made: %s', async (root) => {
      await using bed = new RuntimeBed(runtime);

      const { status, stderr } = await bed.call(['--root', root, 'run', '-b', bed.bundle(shell('exit 0')), 'c1']);

      expect(status).toBe(1);
      expect(stderr).toContain(root);
    });

    test('callers without rights are refused, and change nothing', async () => {
      await using bed = await runningContainer(runtime);
      chmodSync(bed.folder, 0o755);
      await using somebody = new RuntimeBed({ ...runtime, command: [...NOBODY, ...runtime.command] });
      const before = await bed.state('c1');

      const verbs = [['kill', 'c1'], ['ps', 'c1'], ['delete', '--force', 'c1'], ['list']];
      const results = await Promise.all(verbs.map((verb) => somebody.call(['--root', bed.root, ...verb])));

      expect(results.map(({ status }) => status)).toEqual([1, 1, 1, 1]);
      expect(results.filter(({ stderr }) => !stderr.includes('permission denied'))).toEqual([]);
      expect(await bed.state('c1')).toEqual(before);
    });

    test('standard streams that are closed keep nobody from the work', async () => {
      await using bed = await runningContainer(runtime);
      const run = async (...args: string[]): Promise<number | null> => {
        const closed = ['-c', 'exec "$0" "$@" <&- >&- 2>&-', ...bed.commandLine(...args)];
        const [status] = await once(spawn('/bin/sh', closed, { env: {}, stdio: 'ignore' }), 'exit');
        return status;
      };

      expect(await run('exec', 'c1', 'sh', '-c', 'exit 3')).toBe(3);
      expect(await run('kill', 'c1', 'KILL')).toBe(0);
      await bed.until('c1', 'stopped');
    });
  });

  describe('checkpoint and restore', () => {
    test('are refused with the reason where they cannot be, and change nothing', async () => {
      await using bed = await runningContainer(runtime);
      const image = join(bed.folder, 'image');
      const before = await bed.state('c1');
      const restore = (...args: string[]) => bed.call(['restore', '-d', '-b', before.bundle, ...args]);

      // The machine of these cases is this one.
      const checkpoint = await bed.call(['checkpoint', '--image-path', image, 'c1']);
      const inParts = await bed.call(['checkpoint', '--image-path', image, '--pre-dump', 'c1']);
      const fromNothing = await restore('--image-path', image, 'c2');
      const lazily = await restore('--image-path', image, '--lazy-pages', 'c2');

      const results = [checkpoint, inParts, fromNothing, lazily];
      expect(results.map(({ status }) => status)).toEqual([1, 1, 1, 1]);
      expect(checkpoint.stderr).toContain('cannot checkpoint container c1: there is no machine that could be saved');
      expect(inParts.stderr).toContain('cannot checkpoint container c1 with --pre-dump: ');
      expect(fromNothing.stderr).toContain(`${image} has no checkpoint of tskata: `);
      expect(lazily.stderr).toContain('cannot restore container c2 with --lazy-pages: ');
      expect(await bed.state('c1')).toEqual(before);
      expect((await bed.call(['exec', 'c1', 'echo', 'it runs'])).stdout).toBe('it runs\n');
      expect(bed.leftovers().filter((line) => line.startsWith('file'))).toEqual(['file c1']);
    });
  });
}
