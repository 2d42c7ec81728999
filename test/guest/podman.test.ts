// podman with tskata as its runtime.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Engine, packBox, sandboxes } from './engine.ts';

const IMAGE = 'localhost/tskata-box';
const folder = mkdtempSync(join(tmpdir(), 'tskata-podman-'));
const podman = new Engine('/usr/bin/podman', '--runtime=tskata');

beforeAll(async () => {
  await podman.printed('import', packBox(folder), IMAGE);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('run passes output and status on, in a network of its own', async () => {
  const script = 'hostname; ip -o address show eth0 | grep -c "inet 10[.]88[.]"; uname -r; exit 5';
  const { status, stdout } = await podman.call('run', '--rm', '--hostname', 'box', IMAGE, 'sh', '-c', script);

  expect(status).toBe(5);
  expect(stdout).toMatch(/^box\n1\n6\.[\d.]+-tskata\n$/);
});

test('a container is entered, copied to, and stopped', async () => {
  await podman.printed('run', '-d', '--name', 'c1', IMAGE, 'sh', '-c', 'trap "exit 3" TERM; while :; do sleep 1; done');
  writeFileSync(join(folder, 'file'), 'copied\n');

  expect((await podman.call('exec', 'c1', 'sh', '-c', 'exit 9')).status).toBe(9);
  await podman.printed('cp', join(folder, 'file'), 'c1:/tmp/file');
  expect(await podman.printed('exec', 'c1', 'cat', '/tmp/file')).toBe('copied');
  await podman.printed('pause', 'c1');
  expect(await podman.printed('inspect', '-f', '{{.State.Status}}', 'c1')).toBe('paused');
  await podman.printed('unpause', 'c1');
  await podman.printed('stop', '-t', '60', 'c1');
  expect(await podman.printed('inspect', '-f', '{{.State.ExitCode}}', 'c1')).toBe('3');
  await podman.printed('rm', 'c1');
  expect(sandboxes()).toEqual([]);
});
