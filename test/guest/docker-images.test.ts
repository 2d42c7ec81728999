// Docker with tskata and images of more than busybox: programs of Debian with their libraries, two servers among them, and Node.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pinnedNode } from '../../scripts/lib/paths.ts';
import { DockerDaemon } from './docker-daemon.ts';
import { PATIENCE } from './engine.ts';
import { librariesOf } from './tsvm-harness.ts';

const IMAGE = 'tskata-debian';
const PROGRAMS = ['bash', 'cat', 'id', 'ls', 'sha256sum', 'sort', 'iperf3', 'socat'].map((name) => `/usr/bin/${name}`);
const BYTES = 4 << 20;
const RUNTIMES = [
  ['tskata', 'runc'],
  ['runc', 'tskata'],
] as const;

let daemon: DockerDaemon;
const printed = (...args: readonly string[]): Promise<string> => daemon.docker.printed(...args);

/** Archives programs of this host and the libraries that they need, all programs in /usr/bin. @returns the archive's path */
function packPrograms(folder: string, programs: readonly string[]): string {
  const root = join(folder, 'debian');
  const files = librariesOf(...programs).map((path) => [path, path] as const);
  for (const [from, to] of [...files, ...programs.map((path) => [path, `/usr/bin/${basename(path)}`] as const)]) {
    mkdirSync(join(root, dirname(to)), { recursive: true });
    copyFileSync(from, join(root, to));
  }
  mkdirSync(join(root, 'tmp'));
  execFileSync('tar', ['-C', root, '-cf', `${root}.tar`, '.']);
  return `${root}.tar`;
}

beforeAll(async () => {
  daemon = await DockerDaemon.start();
  await printed('import', packPrograms(daemon.folder, [...PROGRAMS, pinnedNode]), IMAGE);
});
afterAll(() => daemon[Symbol.asyncDispose]());

const addressOf = (name: string): Promise<string> =>
  printed('inspect', '-f', '{{.NetworkSettings.Networks.bridge.IPAddress}}', name);

test.each(RUNTIMES)('iperf3 under %s serves one under %s', async (server, client) => {
  await printed('run', '-d', '--name', 'server', `--runtime=${server}`, IMAGE, '/usr/bin/iperf3', '-s');
  const address = await addressOf('server');
  const transfer = ['/usr/bin/iperf3', '--json', '-c', address, '-n', String(BYTES)];
  const received = async (): Promise<number> => {
    const { stdout } = await daemon.run(client, IMAGE, ...transfer);
    return JSON.parse(stdout).end.sum_received.bytes;
  };

  await expect.poll(received, PATIENCE).toBeGreaterThanOrEqual(BYTES);
  await printed('rm', '-f', 'server');
});

test('socat answers the host with a program of its own for each connection', async () => {
  const serve = ['/usr/bin/socat', 'TCP-LISTEN:7,fork,reuseaddr', 'EXEC:/usr/bin/sha256sum'];
  await printed('run', '-d', '--name', 'sums', '--runtime=tskata', IMAGE, ...serve);
  const address = await addressOf('sums');
  const ask = async (text: string): Promise<string> => {
    const socket = connect(7, address);
    await once(socket, 'connect');
    socket.end(text);
    return (await socket.toArray()).join('');
  };

  await expect.poll(() => ask('abc'), PATIENCE).toMatch(/^ba7816bf8f01cfea414140de5dae2223/);
  expect(await ask('')).toMatch(/^e3b0c44298fc1c149afbf4c8996fb924/);
  await printed('rm', '-f', 'sums');
});

/** Uses threads, files, sockets, children and entropy; says the same each time. */
const PROGRAM = `
const { Worker } = require('worker_threads'), fs = require('fs'), http = require('http'), { execFileSync } = require('child_process');
const told = {};
fs.writeFileSync('/tmp/file', 'x'.repeat(1 << 20));
told.hash = require('crypto').createHash('sha256').update(fs.readFileSync('/tmp/file')).digest('hex');
told.child = execFileSync('/usr/bin/bash', ['-c', 'echo $((6 * 7)); id -u'], { encoding: 'utf8' });
told.entropy = require('crypto').randomBytes(8).length;
const server = http.createServer((request, response) => response.end('served ' + request.url)).listen(0, '127.0.0.1', async () => {
  told.fetched = await (await fetch('http://127.0.0.1:' + server.address().port + '/path')).text();
  server.close();
  new Worker('require("worker_threads").parentPort.postMessage(1 + 1)', { eval: true }).on('message', (sum) => {
    console.log(JSON.stringify({ ...told, sum, version: process.version }));
    process.exitCode = 7;
  });
});`;

test('Node works as with runc', async () => {
  const run = (runtime: 'tskata' | 'runc') => daemon.run(runtime, '-m', '256m', IMAGE, '/usr/bin/node', '-e', PROGRAM);
  const ours = await run('tskata');

  expect(ours).toEqual(await run('runc'));
  expect(ours.status).toBe(7);
  expect(JSON.parse(ours.stdout)).toMatchObject({ child: '42\n0\n', fetched: 'served /path', entropy: 8 });
});
