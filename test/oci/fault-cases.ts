// What a container's life leaves behind when something of it fails or is killed, at any step: an error that says so, and nothing
// else once `delete --force` has been there.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ContainerRecord } from '../../src/runtime/state-store.ts';
import { ended, isRunning, type Runtime, RuntimeBed, shell, until } from './harness.ts';

const WAITS = shell('echo up; exec sleep 1000');

/** For tests with many containers, one after the other. */
const MANY_LIVES_MS = 240_000;

/** After how many milliseconds a verb is killed: as it starts, in what it does, and when most of it is done. */
const MOMENTS_MS = [0, 40, 80, 130, 200, 400];

function sandboxPid(bed: RuntimeBed): number {
  const record = JSON.parse(readFileSync(join(bed.root, 'c1/state.json'), 'utf8')) as ContainerRecord;
  return record.sandbox?.pid ?? 0;
}

/** Pids of a process's children. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}

/** Starts a verb and kills it after a while. */
async function killed(bed: RuntimeBed, delayMs: number, ...args: readonly string[]): Promise<void> {
  const verb = bed.spawn(...args);
  const exit = once(verb, 'exit');
  await new Promise((resolve) => setTimeout(resolve, delayMs));
  verb.kill('SIGKILL');
  await exit;
  // What it started may hold them, and is of no interest.
  for (const stream of [verb.stdin, verb.stdout, verb.stderr]) stream?.destroy();
}

async function expectCleanEnd(bed: RuntimeBed): Promise<void> {
  const deleted = await bed.call(['delete', '--force', 'c1']);
  expect(deleted).toEqual({ status: 0, stdout: '', stderr: '' });
  await until(() => bed.leftovers().length === 0);
}

export function describeFaults(runtime: Runtime): void {
  describe('kill -9 at any moment', { timeout: MANY_LIVES_MS }, () => {
    test('of create leaves what delete --force removes', async () => {
      await using bed = new RuntimeBed(runtime);
      const bundle = bed.bundle(WAITS);

      for (const delayMs of MOMENTS_MS) {
        await killed(bed, delayMs, 'create', '--bundle', bundle, 'c1');
        await expectCleanEnd(bed);
      }
    });

    test.each([['start'], ['pause'], ['exec', 'sleep', '1000'], ['kill', 'KILL'], ['delete']])(
      'of %s leaves what delete --force removes',
      async (verb, ...rest) => {
        await using bed = new RuntimeBed(runtime);
        const bundle = bed.bundle(WAITS);

        for (const delayMs of MOMENTS_MS.slice(1, 4)) {
          await bed.detached(verb === 'start' ? ['create', '-b', bundle, 'c1'] : ['run', '-d', '-b', bundle, 'c1']);
          await killed(bed, delayMs, verb, 'c1', ...rest);
          await expectCleanEnd(bed);
        }
      },
    );

    test('of a delete --force is made good by the next', async () => {
      await using bed = new RuntimeBed(runtime);
      const bundle = bed.bundle(WAITS);

      for (const delayMs of MOMENTS_MS.slice(1, 5)) {
        await bed.detached(['run', '--detach', '-b', bundle, 'c1']);
        await killed(bed, delayMs, 'delete', '--force', 'c1');
        await expectCleanEnd(bed);
      }
    });
  });

  describe('a sandbox process that does not answer', { timeout: MANY_LIVES_MS }, () => {
    test('does not keep its container from being killed and deleted', async () => {
      await using bed = new RuntimeBed(runtime);
      await bed.detached(['run', '--detach', '-b', bed.bundle(WAITS), 'c1']);
      const { pid } = await bed.state('c1');
      process.kill(sandboxPid(bed), 'SIGSTOP');

      const kill = await bed.call(['kill', 'c1', 'KILL']);
      const { status } = await bed.state('c1');

      expect(kill).toEqual({ status: 0, stdout: '', stderr: '' });
      expect(status).toBe('stopped');
      expect(isRunning(pid)).toBe(false);
      await expectCleanEnd(bed);
    });
  });

  describe('a guest that is lost', { timeout: MANY_LIVES_MS }, () => {
    test('stops its container and ends the processes that were run in it', async () => {
      await using bed = new RuntimeBed(runtime);
      const running = bed.spawn('run', '-b', bed.bundle(WAITS), 'c1');
      const run = ended(running);
      await new Promise((resolve) => running.stdout?.once('data', resolve));
      await bed.until('c1', 'running');
      const execing = bed.spawn('exec', 'c1', 'sh', '-c', 'echo up; exec sleep 1000');
      await once(execing.stdout ?? execing, 'readable');
      const exec = ended(execing);

      for (const child of childrenOf(sandboxPid(bed))) process.kill(child, 'SIGKILL');

      expect((await exec).status).toBe(137);
      const { status, stderr } = await run;
      expect(status).toBe(137);
      expect(stderr).toContain("the sandbox ended before the container's program did");
      await until(() => bed.leftovers().length === 0);
    });

    test.each([
      [['start', 'c1'], 1],
      [['exec', 'c1', 'true'], 255],
      [['pause', 'c1'], 1],
      [['update', '--pids-limit', '10', 'c1'], 1],
      [['events', '--stats', 'c1'], 1],
    ])('%j says so', async (args, expected) => {
      await using bed = new RuntimeBed(runtime);
      await bed.detached(['create', '-b', bed.bundle(WAITS), 'c1']);
      process.kill(sandboxPid(bed), 'SIGKILL');
      await bed.until('c1', 'stopped');

      const { status, stderr } = await bed.call(args);

      expect(status).toBe(expected);
      expect(stderr).toMatch(/stopped|not running|does not answer/);
      await expectCleanEnd(bed);
    });
  });

  describe('want', { timeout: MANY_LIVES_MS }, () => {
    test('of descriptors is an error, and leaves nothing', async () => {
      await using bed = new RuntimeBed(runtime);
      const bundle = bed.bundle(WAITS);

      // With fewer Node itself does not start.
      for (const limit of [22, 24, 26, 30, 34]) {
        const command = [`--nofile=${limit}:${limit}`, ...bed.commandLine('run', '-b', bundle, 'c1')];
        const { status, stderr } = await ended(spawn('/usr/bin/prlimit', command, { env: {}, stdio: 'pipe' }));
        expect(status).not.toBe(0);
        expect(stderr).not.toBe('');
        await expectCleanEnd(bed);
      }
    });

    test.each([4, 8, 16, 64])(
      'of room for the state, %i KiB, is an error or none, and leaves nothing',
      async (sizeKib) => {
        await using bed = new RuntimeBed(runtime);
        mkdirSync(bed.root);
        execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeKib}k`, 'tmpfs', bed.root]);
        try {
          execFileSync('dd', ['if=/dev/zero', `of=${bed.root}/full`, 'bs=4096', `count=${sizeKib / 4}`], {
            stdio: 'ignore',
          });

          const { status, stderr } = await bed.call(['run', '-b', bed.bundle(shell('exit 0')), 'c1']);

          expect(status).toBe(1);
          expect(stderr).toContain('no space left on device');
          expect((await bed.call(['delete', '--force', 'c1'])).status).toBe(0);
          expect(bed.leftovers().filter((line) => line.startsWith('process'))).toEqual([]);
        } finally {
          execFileSync('umount', ['--lazy', bed.root]);
        }
      },
    );

    test('of the bundle, which was removed, does not keep a container from ending and being deleted', async () => {
      await using bed = new RuntimeBed(runtime);
      const bundle = bed.bundle(WAITS);
      await bed.detached(['run', '--detach', '-b', bundle, 'c1']);
      execFileSync('rm', ['-r', bundle]);

      const { status, stderr } = await bed.call(['exec', 'c1', 'true']);

      expect(status).toBe(255);
      expect(stderr).toContain('no such file or directory');
      await expectCleanEnd(bed);
    });
  });
}
