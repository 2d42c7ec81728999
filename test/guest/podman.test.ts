// podman with tskata as its runtime, beside runc where both can be asked.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ended } from '../oci/harness.ts';
import { Engine, PATIENCE, packBox, RUNTIME, sandboxes, serve } from './engine.ts';

const IMAGE = 'localhost/tskata-box';
const folder = mkdtempSync(join(tmpdir(), 'tskata-podman-'));
const podman = new Engine('/usr/bin/podman', '--runtime=tskata');
const runc = new Engine('/usr/bin/podman', '--runtime=runc');
const major = Number(/\d+/.exec(await podman.printed('version', '--format', '{{.Client.Version}}'))?.[0]);
/** Of podman 4.3's pods with cgroupfs: no device can be opened in their control groups, not even /dev/null under runc. */
const deniesDevicesOfPods = major < 5;

beforeAll(async () => {
  await podman.printed('import', packBox(folder), IMAGE);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('run passes output and status on, in a network of its own', async () => {
  const script = 'hostname; ip -o address show eth0 | grep -c "inet 10[.]88[.]"; uname -r; echo err >&2; exit 5';
  const { status, stdout, stderr } = await podman.call(
    ...['run', '--rm', '--hostname', 'box', IMAGE, 'sh', '-c', script],
  );

  expect([status, stderr]).toEqual([5, 'err\n']);
  expect(stdout).toMatch(/^box\n1\n6\.[\d.]+-tskata\n$/);
});

test.skipIf(major >= 5)("a network of CNI plugins, which podman has up to version 4, is the container's", async () => {
  const settings = join(folder, 'cni.conf');
  // The only file that is read then, so the runtime has no name.
  writeFileSync(settings, '[network]\nnetwork_backend = "cni"\n');
  const cni = new Engine('/usr/bin/env', `CONTAINERS_CONF=${settings}`, '/usr/bin/podman', `--runtime=${RUNTIME}`);
  await cni.printed('network', 'create', '--disable-dns', '--subnet', '10.77.0.0/24', 'plugins');
  const server = ['sh', '-c', serve('by way of plugins')];
  await cni.printed('run', '-d', '--network', 'plugins', '--name', 'plugged', IMAGE, ...server);
  const address = await cni.printed('inspect', '-f', '{{.NetworkSettings.Networks.plugins.IPAddress}}', 'plugged');

  expect(await cni.printed('info', '--format', '{{.Host.NetworkBackend}}')).toBe('cni');
  expect(address).toMatch(/^10\.77\.0\./);
  const fetched = async (): Promise<string> => (await fetch(`http://${address}/`)).text();
  await expect.poll(fetched, PATIENCE).toBe('by way of plugins\n');
  await cni.printed('rm', '-f', '-t', '0', 'plugged');
  await cni.printed('network', 'rm', 'plugins');
});

test.each(['/nosuch', '/etc/passwd'])('%s, which cannot be run, ends as with runc', async (program) => {
  const ours = await podman.call('run', '--rm', IMAGE, program);
  const theirs = await runc.call('run', '--rm', IMAGE, program);

  const words = ({ stderr }: Ended): string => stderr.replace(/^.*(?:runc|tskata) create failed: /m, '');
  expect({ status: ours.status, words: words(ours) }).toEqual({ status: theirs.status, words: words(theirs) });
});

test('a container is entered, copied to, looked at, and stopped', async () => {
  const script = 'trap "exit 3" TERM; echo up; while :; do sleep 1; done';
  const health = ['--health-cmd', 'test -e /tmp/file', '--health-interval', 'disable'];
  await podman.printed('run', '-d', '--name', 'c1', ...health, IMAGE, 'sh', '-c', script);
  writeFileSync(join(folder, 'file'), 'copied\n');

  expect((await podman.call('exec', 'c1', 'sh', '-c', 'exit 9')).status).toBe(9);
  expect((await podman.call('healthcheck', 'run', 'c1')).status).toBe(1);
  await podman.printed('cp', join(folder, 'file'), 'c1:/tmp/file');
  expect(await podman.printed('exec', 'c1', 'cat', '/tmp/file')).toBe('copied');
  expect((await podman.call('healthcheck', 'run', 'c1')).status).toBe(0);
  expect(await podman.printed('diff', 'c1')).toContain('A /tmp/file');
  expect(await podman.printed('stats', '--no-stream', '--format', '{{.PIDS}}', 'c1')).toMatch(/^\d+$/);
  await podman.printed('pause', 'c1');
  expect(await podman.printed('inspect', '-f', '{{.State.Status}}', 'c1')).toBe('paused');
  await podman.printed('unpause', 'c1');
  await podman.printed('stop', '-t', '60', 'c1');
  expect(await podman.printed('inspect', '-f', '{{.State.ExitCode}}', 'c1')).toBe('3');
  expect(await podman.printed('logs', 'c1')).toBe('up');
  await podman.printed('rm', 'c1');
  expect(sandboxes()).toEqual([]);
});

test('a container whose memory is not enough is killed, and podman from 5 on says why', async () => {
  await podman.call('run', '--name', 'oom', '-m', '64m', IMAGE, 'tail', '/dev/zero');

  expect(await podman.printed('inspect', '-f', '{{.State.ExitCode}} {{.State.OOMKilled}}', 'oom')).toBe(
    // conmon 2.1.6, which comes with podman 4.3, does not tell; nor does it with runc.
    `137 ${major >= 5}`,
  );
  await podman.printed('rm', 'oom');
});

describe('a pod', () => {
  test('has one virtual machine, and one network', async () => {
    const parent = `--share-parent=${!deniesDevicesOfPods}`;
    await podman.printed('pod', 'create', '--name', 'pod', parent, '-p', '8081:80');
    await podman.printed('run', '-d', '--pod', 'pod', '--name', 'server', IMAGE, 'sh', '-c', serve('from the pod'));
    const fetch = ['wget', '-q', '-O-'];

    expect(await podman.printed('run', '--rm', '--pod', 'pod', IMAGE, ...fetch, 'http://127.0.0.1/')).toBe(
      'from the pod',
    );
    expect(sandboxes()).toHaveLength(1);
    writeFileSync(join(folder, 'pod.yaml'), await podman.printed('kube', 'generate', 'pod'));
    await podman.printed('pod', 'rm', '-f', '-t', '0', 'pod');
    expect(sandboxes()).toEqual([]);
  });

  test.skipIf(deniesDevicesOfPods)('comes up again from its description, with podman from 5 on', async () => {
    await podman.printed('kube', 'play', join(folder, 'pod.yaml'));

    expect(sandboxes()).toHaveLength(1);
    const fetched = (): Promise<string> =>
      podman.printed('exec', 'pod-server', 'wget', '-q', '-O-', 'http://127.0.0.1/');
    await expect.poll(fetched, PATIENCE).toBe('from the pod');
    await podman.printed('kube', 'down', join(folder, 'pod.yaml'));
    expect(sandboxes()).toEqual([]);
  });
});

test('containers of a network find each other by name', async () => {
  await podman.printed('network', 'create', 'named');
  await podman.printed('run', '-d', '--network', 'named', '--name', 'web', IMAGE, 'sh', '-c', serve('from web'));

  expect(await podman.printed('run', '--rm', '--network', 'named', IMAGE, 'wget', '-q', '-O-', 'http://web/')).toBe(
    'from web',
  );
  await podman.printed('rm', '-f', '-t', '0', 'web');
  await podman.printed('network', 'rm', 'named');
});
