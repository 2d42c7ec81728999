// Engines with tskata under load: many containers at once, and many one after the other.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DockerDaemon, IMAGE, knownContainers, SLEEP, traces } from './docker-daemon.ts';
import { Engine, PATIENCE, RUNTIME, sandboxes } from './engine.ts';

/** How many containers start at once, twice, until all of these run beside each other. */
const AT_ONCE = Number(process.env['TSKATA_CONTAINERS_AT_ONCE'] ?? 10);
/** How many `ctr run --rm` there are, one after the other. */
const IN_A_ROW = Number(process.env['TSKATA_CONTAINERS_IN_A_ROW'] ?? 100);
/** After how many of these to tell of it. */
const STEP = 10;
/** An emulated host takes ten seconds for each. */
const LOAD = { timeout: 3_600_000 };
/** What docs/limits.md advises where many start at once on few processors. */
const PATIENT = 'dial_timeout = 900\ncreate_container_timeout = 1000\n';
const PATIENT_FILE = '/etc/tskata/config.d/load.toml';

/** Bytes that an idle container of 64 MiB takes of the host, all of it: less than others take beside their guests. */
const MEMORY_MAX = 150 << 20;

/** Of the name space that ctr uses. */
const CTR_CONTAINERS = '/run/containerd/runc/default';

let daemon: DockerDaemon;
const printed = (...args: readonly string[]): Promise<string> => daemon.docker.printed(...args);
const inspect = (format: string, ...names: readonly string[]): Promise<string> =>
  printed('inspect', '-f', format, ...names);

function tracesOfCtr(): Record<string, unknown> {
  const cgroups = execFileSync('find', ['/sys/fs/cgroup', '-type', 'd', '-path', '*/default/*'], { encoding: 'utf8' });
  return { ...traces(), cgroups, ofCtr: existsSync(CTR_CONTAINERS) ? readdirSync(CTR_CONTAINERS) : [] };
}

beforeAll(async () => {
  mkdirSync(dirname(PATIENT_FILE), { recursive: true });
  writeFileSync(PATIENT_FILE, PATIENT);
  daemon = await DockerDaemon.start('--live-restore');
});
afterAll(async () => {
  rmSync(PATIENT_FILE);
  await daemon[Symbol.asyncDispose]();
});

test('containers that start at once run beside each other, outlive their engine, and leave nothing', LOAD, async () => {
  const batches = ['a', 'b'].map((letter) => Array.from({ length: AT_ONCE }, (_, index) => `${letter}${index}`));
  const names = batches.flat();
  // What a try before this one has left.
  for (const name of (await printed('ps', '-aq')).split('\n').filter(Boolean)) await printed('rm', '-f', name);
  const before = traces();
  for (const batch of batches)
    await Promise.all(
      batch.map((name) => printed('run', '-d', '--name', name, '--runtime=tskata', '-m', '64m', IMAGE, ...SLEEP)),
    );
  expect(sandboxes()).toHaveLength(names.length);
  const ids = (await inspect('{{.Id}}', ...names)).split('\n');
  const takes = ids.map((id) => Number(readFileSync(`/sys/fs/cgroup/docker/${id}/memory.current`, 'utf8')));
  expect(Math.max(...takes)).toBeLessThan(MEMORY_MAX);

  await daemon.end('SIGKILL');
  await daemon.again();

  expect((await printed('ps', '-q')).split('\n')).toHaveLength(names.length);
  expect(await printed('exec', 'a1', 'uname', '-r')).toMatch(/-tskata$/);
  expect(await printed('logs', 'b1')).toBe('up');
  // One whose sandbox is killed is seen to have ended, and the others go on.
  const pid = Number(await inspect('{{.State.Pid}}', 'a0'));
  process.kill(pid, 'SIGKILL');
  expect(await printed('wait', 'a0')).toBe('137');
  await printed('start', 'a0');
  expect(await inspect('{{.State.Status}}', 'a0')).toBe('running');
  // Not by `rm -f`, which waits for ten seconds and no longer, whatever else the machine has to do.
  for (const name of names) await printed('kill', '--signal', 'TERM', name);
  await printed('wait', ...names);
  await printed('rm', ...names);
  expect(knownContainers()).toEqual([]);
  await expect.poll(traces, PATIENCE).toEqual(before);
});

test('runs in a row leave nothing', LOAD, async () => {
  const ctr = new Engine('/usr/bin/ctr');
  const archive = join(daemon.folder, 'image.tar');
  await printed('save', '--output', archive, IMAGE);
  await ctr.printed('images', 'import', archive);
  const run = ['run', '--rm', '--runc-binary', RUNTIME, `docker.io/library/${IMAGE}:latest`];
  const before = tracesOfCtr();
  for (let count = 1; count <= IN_A_ROW; count++) {
    const { status, stderr } = await ctr.call(...run, `run-${count}`, 'true');
    expect({ count, status, stderr }).toEqual({ count, status: 0, stderr: '' });
    if (count % STEP === 0) console.log(`${count} of ${IN_A_ROW} containers have run`);
  }

  await expect.poll(tracesOfCtr, PATIENCE).toEqual(before);
  expect(await ctr.printed('containers', 'list', '--quiet')).toBe('');
});
