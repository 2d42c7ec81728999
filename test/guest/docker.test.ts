// Docker with tskata as a runtime, beside runc where both can be asked.
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ended, until } from '../oci/harness.ts';
import { DockerDaemon, IMAGE, knownContainers } from './docker-daemon.ts';
import { Engine, PATIENCE, sandboxes, serve } from './engine.ts';

let daemon: DockerDaemon;
const docker = (...args: readonly string[]): Promise<Ended> => daemon.docker.call(...args);
const printed = (...args: readonly string[]): Promise<string> => daemon.docker.printed(...args);
const run = (...args: readonly string[]): Promise<Ended> => daemon.run('tskata', ...args);

const addressOf = (name: string): Promise<string> =>
  printed('inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', name);
const inspectId = (name: string): Promise<string> => printed('inspect', '--format', '{{.Id}}', name);

beforeAll(async () => {
  daemon = await DockerDaemon.start('--default-runtime=tskata');
});
afterAll(async () => await daemon[Symbol.asyncDispose]());

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
    await expect.poll(knownContainers, PATIENCE).toEqual([]);
  });

  test('of a program that is not there ends with 127, as with runc', async () => {
    const ours = await run(IMAGE, '/nosuch');
    const theirs = await daemon.run('runc', IMAGE, '/nosuch');

    const message = /exec: "\/nosuch": stat \/nosuch: no such file or directory/;
    expect([ours.status, theirs.status]).toEqual([127, 127]);
    expect(ours.stderr).toMatch(message);
    expect(theirs.stderr).toMatch(message);
  });

  test('has volumes, and a kernel of its own', async () => {
    const volume = join(daemon.folder, 'volume');
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

test('names of containers of either runtime, aliases, and names of others are found on networks of a user', async () => {
  using outside = await nameServer();
  await printed('network', 'create', '--subnet', '10.78.0.0/24', 'named');
  await printed('network', 'create', '--subnet', '10.79.0.0/24', 'later');
  const start = (name: string, runtime: string, ip: string, ...more: readonly string[]): Promise<string> =>
    printed('run', '-d', '--name', name, `--runtime=${runtime}`, '--net', 'named', '--ip', ip, ...more);
  await start('nearby', 'runc', '10.78.0.10', '--network-alias', 'alias', IMAGE, 'sh', '-c', serve('from runc'));
  await start('asking', 'tskata', '10.78.0.11', '--dns', '10.78.0.1', IMAGE, 'sleep', '1000');
  const exec = (name: string, script: string): Promise<string> => printed('exec', name, 'sh', '-c', script);

  const asked = await exec(
    'asking',
    'for name in nearby asking elsewhere.example; do nslookup -type=a $name; done; wget -q -O- http://alias/',
  );
  const askedByRunc = await exec('nearby', 'nslookup -type=a asking');

  expect(asked.match(/Server:.*|Address: .*|from .*/g)).toEqual([
    'Server:\t\t127.0.0.11',
    'Address: 10.78.0.10',
    'Server:\t\t127.0.0.11',
    'Address: 10.78.0.11',
    'Server:\t\t127.0.0.11',
    'Address: 192.0.2.53',
    'from runc',
  ]);
  expect(outside.asked).toBeGreaterThan(0);
  expect(askedByRunc).toContain('Address: 10.78.0.11');

  // A network without names at first.
  await printed('run', '-d', '--name', 'moving', '--runtime=tskata', IMAGE, 'sleep', '1000');
  await printed('network', 'connect', '--ip', '10.79.0.12', '--alias', 'there', 'later', 'moving');
  await printed('network', 'connect', '--ip', '10.79.0.11', 'later', 'asking');
  const untilFound = (name: string): string =>
    `until nslookup -type=a ${name} | grep "Address: 10.79"; do sleep 1; done`;

  expect(await exec('moving', untilFound('asking'))).toBe('Address: 10.79.0.11');
  expect(await exec('asking', untilFound('there'))).toBe('Address: 10.79.0.12');
  await printed('rm', '-f', 'nearby', 'asking', 'moving');
  await printed('network', 'rm', 'named', 'later');
});

/** A server of the host for which every name has the address 192.0.2.53. */
async function nameServer(): Promise<{ asked: number } & Disposable> {
  const server = { asked: 0, [Symbol.dispose]: () => void socket.close() };
  const socket = createSocket('udp4', (query, { address, port }) => {
    server.asked += 1;
    const end = query.indexOf(0, 12) + 5;
    // RFC 1035, 4.1: an answer, with one address for the name of the question.
    const header = Buffer.concat([query.subarray(0, 2), Buffer.from('81800001000100000000', 'hex')]);
    const record = Buffer.from('c00c000100010000003c0004c0000235', 'hex');
    socket.send(Buffer.concat([header, query.subarray(12, end), record]), port, address);
  });
  socket.bind(53);
  await once(socket, 'listening');
  return server;
}

const command = (script: string): string => JSON.stringify(['sh', '-c', script]);
const COMPOSE = `
services:
  store:
    image: ${IMAGE}
    runtime: tskata
    command: ${command(`echo kept > /data/file; ${serve('from the store')}`)}
    volumes: [data:/data]
    networks: [inside]
  reader:
    image: ${IMAGE}
    runtime: tskata
    depends_on: [store]
    command: ${command('until wget -q -O- http://store/; do sleep 1; done; cat /data/file; sleep 1000')}
    volumes: [data:/data]
    networks: [inside]
  plain:
    image: ${IMAGE}
    runtime: runc
    command: sleep 1000
    networks: [inside]
networks:
  inside:
volumes:
  data:
`;

/** Docker 20.10 of Debian 12 comes without it. */
const hasCompose = (await new Engine('/usr/bin/docker').call('compose', 'version')).status === 0;

test.skipIf(!hasCompose)(
  'compose, where it is installed, starts services that find each other and share a volume, and takes all of it away again',
  async () => {
    const file = join(daemon.folder, 'compose.yaml');
    writeFileSync(file, COMPOSE);
    const compose = (...args: readonly string[]): Promise<string> =>
      printed('compose', '--project-name', 'three', '--file', file, ...args);

    await compose('up', '--detach', '--quiet-pull');

    expect((await compose('ps', '--services')).split('\n').sort()).toEqual(['plain', 'reader', 'store']);
    // Each line begins with what clears it on a terminal.
    await expect.poll(() => compose('logs', '--no-log-prefix', 'reader'), PATIENCE).toMatch(/from the store\n.*kept/);
    expect(await compose('exec', '-T', 'plain', 'wget', '-q', '-O-', 'http://store/')).toBe('from the store');
    expect(await compose('exec', '-T', 'reader', 'sh', '-c', 'nslookup -type=a plain; uname -r')).toMatch(
      /Name:\tplain\n[\s\S]*-tskata$/,
    );
    await compose('down', '--volumes', '--timeout', '0');
    expect(await printed('ps', '-aq')).toBe('');
    expect(await printed('volume', 'ls', '-q')).toBe('');
    expect(await printed('network', 'ls', '--filter', 'name=three', '-q')).toBe('');
    expect(knownContainers()).toEqual([]);
  },
);

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
  writeFileSync(join(daemon.folder, 'file'), 'copied\n');
  await printed('cp', join(daemon.folder, 'file'), 'c1:/tmp/file');
  expect(await printed('exec', 'c1', 'cat', '/tmp/file')).toBe('copied');
  expect(await printed('diff', 'c1')).toContain('A /tmp/file');
  await printed('pause', 'c1');
  expect(await printed('inspect', '-f', '{{.State.Status}}', 'c1')).toBe('paused');
  await printed('unpause', 'c1');
  expect(await printed('top', 'c1')).toContain('sleep 1');
  await printed('update', '--pids-limit', '50', 'c1');
  await printed('stop', '-t', '60', 'c1');
  expect(await printed('wait', 'c1')).toBe('3');
  expect(await printed('logs', 'c1')).toBe('up');
  await printed('rm', 'c1');
  expect(knownContainers()).toEqual([]);
});

test("the host's network is refused", async () => {
  const { status, stderr } = await run('--network', 'host', IMAGE, 'true');

  expect(status).toBe(125);
  expect(stderr).toContain("the container asks for the host's network namespace, in which a virtual machine cannot be");
});

test('statistics are those of the container, and not of its virtual machine: as with runc', async () => {
  const filled = `head -c ${40 << 20} /dev/zero > /dev/shm/filled; echo filled; exec sleep 1000`;
  const statsOf = async (runtime: string): Promise<string> => {
    const name = `stats-${runtime}`;
    await printed('run', '-d', '--name', name, `--runtime=${runtime}`, '-m', '128m', IMAGE, 'sh', '-c', filled);
    await expect.poll(() => printed('logs', name), PATIENCE).toBe('filled');
    const line = await printed('stats', '--no-stream', '--format', '{{.MemUsage}}, {{.PIDs}}', name);
    await printed('rm', '-f', name);
    return line;
  };

  const filledAndLittleMore = /^4[012][.\d]*MiB \/ 128MiB, 1$/;
  expect(await statsOf('runc')).toMatch(filledAndLittleMore);
  expect(await statsOf('tskata')).toMatch(filledAndLittleMore);
});

test('containers of one virtual machine share its network; another machine cannot', async () => {
  const join = ['--network', 'container:web'];
  const ask = [IMAGE, 'sh', '-c', 'wget -q -O- http://127.0.0.1/; hostname'];
  await printed(
    'run',
    '-d',
    '--name',
    'web',
    '--hostname',
    'web',
    '--runtime=tskata',
    IMAGE,
    'sh',
    '-c',
    serve('here'),
  );

  const beside = await run('--annotation', `io.tskata.sandbox-id=${await inspectId('web')}`, ...join, ...ask);
  const apart = await run(...join, ...ask);

  expect(beside).toEqual({ status: 0, stdout: 'here\nweb\n', stderr: '' });
  expect(apart.status).toBe(125);
  expect(apart.stderr).toContain('which runs in another virtual machine; to put both into one, set the annotation');
  await printed('rm', '-f', 'web');
});

test.each([
  ['the legacy builder, by the default runtime', 'DOCKER_BUILDKIT=0'],
  ['BuildKit, by the runtime that dockerd is told', 'DOCKER_BUILDKIT=1'],
])('images are built in virtual machines: by %s', async (_, builder) => {
  const folder = join(daemon.folder, builder);
  mkdirSync(folder);
  writeFileSync(join(folder, 'Dockerfile'), `FROM ${IMAGE}\nRUN uname -r > /kernel\n`);

  await new Engine('/usr/bin/env', builder, '/usr/bin/docker').printed('build', '--tag', 'built', folder);

  expect((await daemon.run('runc', 'built', 'cat', '/kernel')).stdout).toMatch(/-tskata\n$/);
  await printed('rmi', 'built');
});

test('a container whose memory is not enough is killed, and Docker says why', async () => {
  await docker('run', '--name', 'oom', '--runtime=tskata', '-m', '64m', IMAGE, 'sh', '-c', 'tail /dev/zero');

  expect(await printed('inspect', '-f', '{{.State.ExitCode}} {{.State.OOMKilled}}', 'oom')).toBe('137 true');
  await printed('rm', 'oom');
});

test('no sandbox is left', async () => {
  await until(() => sandboxes().length === 0);
});
