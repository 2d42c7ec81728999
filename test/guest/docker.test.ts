// Docker with tskata as a runtime, beside runc where both can be asked.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ended, pause, until } from '../oci/harness.ts';
import { Engine, PATIENCE, packBox, sandboxes, serve } from './engine.ts';

const ROOT = '/run/docker/runtime-tskata/moby';
const IMAGE = 'tskata-box';

const folder = mkdtempSync(join(tmpdir(), 'tskata-docker-'));
let daemon: ChildProcess | undefined;

const engine = new Engine('/usr/bin/docker');
const docker = engine.call.bind(engine);
const printed = engine.printed.bind(engine);
const run = (...args: readonly string[]): Promise<Ended> => docker('run', '--rm', '--runtime=tskata', ...args);

/** What the runtime knows of containers of Docker. */
const containers = (): string[] => (existsSync(ROOT) ? readdirSync(ROOT) : []);

const addressOf = (name: string): Promise<string> =>
  printed('inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', name);

beforeAll(async () => {
  daemon = spawn('/usr/sbin/dockerd', ['--log-level=error'], { stdio: 'ignore' });
  while ((await docker('info')).status !== 0) await pause();
  await printed('import', packBox(folder), IMAGE);
});
afterAll(async () => {
  daemon?.kill('SIGTERM');
  if (daemon !== undefined) await once(daemon, 'exit');
  rmSync(folder, { recursive: true, force: true });
});

describe('docker run', () => {
  test('passes output and statuses on, and leaves nothing', async () => {
    const result = await run(
      '--hostname',
      'box',
      '-e',
      'A=b',
      '-w',
      '/tmp',
      '--user',
      '7:8',
      IMAGE,
      'sh',
      '-c',
      'echo $(hostname) $A $PWD $(id -u):$(id -g); echo err >&2; exit 42',
    );

    expect(result).toEqual({ status: 42, stdout: 'box b /tmp 7:8\n', stderr: 'err\n' });
    await expect.poll(containers, PATIENCE).toEqual([]);
  });

  test('of a program that is not there ends with 127, as with runc', async () => {
    const ours = await run(IMAGE, '/nosuch');
    const theirs = await docker('run', '--rm', '--runtime=runc', IMAGE, '/nosuch');

    const message = /exec: "\/nosuch": stat \/nosuch: no such file or directory/;
    expect([ours.status, theirs.status]).toEqual([127, 127]);
    expect(ours.stderr).toMatch(message);
    expect(theirs.stderr).toMatch(message);
  });

  test('has volumes, and a kernel of its own', async () => {
    const volume = join(folder, 'volume');
    execFileSync('mkdir', [volume]);
    writeFileSync(join(volume, 'in'), 'from the host\n');

    const { stdout } = await run(
      '-v',
      `${volume}:/v`,
      '--tmpfs',
      '/t',
      IMAGE,
      'sh',
      '-c',
      'cat /v/in; echo back > /v/out; grep -c " /t tmpfs" /proc/mounts; uname -r',
    );

    const [file, tmpfs, release] = stdout.trimEnd().split('\n');
    expect([file, tmpfs]).toEqual(['from the host', '1']);
    expect(release).toMatch(/-tskata$/);
    expect(readFileSync(join(volume, 'out'), 'utf8')).toBe('back\n');
  });
});

describe('the network of Docker', () => {
  test('leads to other containers, of either runtime, and from a published port', async () => {
    await printed('run', '-d', '--name', 'theirs', '--runtime=runc', IMAGE, 'sh', '-c', serve('from runc'));
    await printed(
      'run',
      '-d',
      '--name',
      'ours',
      '--runtime=tskata',
      '-p',
      '8080:80',
      IMAGE,
      'sh',
      '-c',
      serve('from tskata'),
    );
    const [theirs, ours] = [await addressOf('theirs'), await addressOf('ours')];
    const fetch = (runtime: string, address: string): Promise<string> =>
      printed('run', '--rm', `--runtime=${runtime}`, IMAGE, 'wget', '-q', '-O-', `http://${address}/`);
    const published = async (): Promise<string> => {
      const socket = connect(8080, '127.0.0.1');
      socket.end('GET / HTTP/1.0\r\n\r\n');
      return (await text(socket)).split('\r\n\r\n')[1] ?? '';
    };

    expect(await fetch('tskata', theirs)).toBe('from runc');
    expect(await fetch('runc', ours)).toBe('from tskata');
    expect(await fetch('tskata', ours)).toBe('from tskata');
    await expect.poll(published, PATIENCE).toBe('from tskata\n');
    await printed('rm', '-f', 'theirs', 'ours');
  });

  test('can be joined while a container runs', async () => {
    await printed('network', 'create', '--subnet', '10.77.0.0/24', 'second');
    await printed('run', '-d', '--name', 'joining', '--runtime=tskata', IMAGE, 'sleep', '1000');

    await printed('network', 'connect', '--ip', '10.77.0.7', 'second', 'joining');

    const addresses = (): Promise<string> => printed('exec', 'joining', 'ip', '-o', 'address');
    await expect.poll(addresses, PATIENCE).toContain('inet 10.77.0.7/24');
    await printed('network', 'disconnect', 'second', 'joining');
    await expect.poll(addresses, PATIENCE).not.toContain('10.77.0.7');
    await printed('rm', '-f', 'joining');
    await printed('network', 'rm', 'second');
  });
});

test('a container is looked at, stopped for a while, copied from and to, and ended', async () => {
  await printed(
    'run',
    '-d',
    '--name',
    'c1',
    '--runtime=tskata',
    IMAGE,
    'sh',
    '-c',
    'trap "exit 3" TERM; echo up; while :; do sleep 1; done',
  );

  expect(await printed('exec', '-e', 'A=b', '-w', '/tmp', '-u', '5', 'c1', 'sh', '-c', 'echo $A $PWD $(id -u)')).toBe(
    'b /tmp 5',
  );
  expect((await docker('exec', 'c1', 'sh', '-c', 'exit 9')).status).toBe(9);
  writeFileSync(join(folder, 'file'), 'copied\n');
  await printed('cp', join(folder, 'file'), 'c1:/tmp/file');
  expect(await printed('exec', 'c1', 'cat', '/tmp/file')).toBe('copied');
  expect(await printed('diff', 'c1')).toContain('A /tmp/file');
  await printed('pause', 'c1');
  expect(await printed('inspect', '-f', '{{.State.Status}}', 'c1')).toBe('paused');
  await printed('unpause', 'c1');
  expect(await printed('top', 'c1')).toContain('sleep 1');
  await printed('update', '--pids-limit', '50', 'c1');
  expect(await printed('stats', '--no-stream', '--format', '{{.PIDs}}', 'c1')).toMatch(/^\d+$/);
  await printed('stop', '-t', '60', 'c1');
  expect(await printed('wait', 'c1')).toBe('3');
  expect(await printed('logs', 'c1')).toBe('up');
  await printed('rm', 'c1');
  expect(containers()).toEqual([]);
});

test('a container whose memory is not enough is killed, and Docker says why', async () => {
  await docker('run', '--name', 'oom', '--runtime=tskata', '-m', '64m', IMAGE, 'sh', '-c', 'tail /dev/zero');

  expect(await printed('inspect', '-f', '{{.State.ExitCode}} {{.State.OOMKilled}}', 'oom')).toBe('137 true');
  await printed('rm', 'oom');
});

test('no sandbox is left', async () => {
  await until(() => sandboxes().length === 0);
});
