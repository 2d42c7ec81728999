// A server of files that does not answer, keeps nobody waiting but who asks it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { cached } from '../../scripts/lib/cache.ts';
import { run } from '../../scripts/lib/run.ts';
import { config, stdioRequest, TestAgent, uniqueId } from './harness.ts';

const SOURCE = join(import.meta.dirname, 'silent-files/main.c');
/** musl has no headers of the kernel: those of the machine come last. */
const FLAGS = '-static -O1 -s -Wall -Wextra -Werror -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu';
const VOLUME = '/run/tskata/volume';
const SILENT = `${VOLUME}/silent`;

let program: string;
let agent: TestAgent;
let server: ChildProcess;
beforeAll(async () => {
  const address = await cached('silent-files', { files: [SOURCE], values: [FLAGS] }, async (output) => {
    await run('musl-gcc', [...FLAGS.split(' '), '-o', join(output, 'silent-files'), SOURCE]);
  });
  program = join(address, 'silent-files');
  agent = await TestAgent.start();
  mkdirSync(agent.pathInside(SILENT), { recursive: true });
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});
beforeEach(async () => {
  server = spawn('nsenter', ['-t', String(agent.pid), '--mount', program, SILENT], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await said();
});
afterEach(() => {
  stopServer();
  agent.runInside('busybox', 'umount', '-l', SILENT);
});

/** Settles when the server says something. */
async function said(): Promise<void> {
  if (server.stdout) await once(server.stdout, 'data');
}

/** Those who wait for it get an error then. */
function stopServer(): void {
  server.kill('SIGKILL');
}

const overlay = () =>
  agent.call('MountFilesystem', {
    type: 'overlay',
    source: 'overlay',
    path: '/run/tskata/over',
    options: [`lowerdir=${SILENT}/silent:/tmp`],
  });

test('a file system that cannot be mounted yet does not keep other calls from being answered', async () => {
  const asked = said();
  const failed = expect(overlay()).rejects.toMatchObject({
    code: 'FAILED_PRECONDITION',
    message: expect.stringContaining('overlay of "overlay" cannot be mounted at /run/tskata/over'),
  });
  await asked;

  const busy = { code: 'FAILED_PRECONDITION', message: expect.stringContaining('is being mounted or unmounted') };
  await expect(overlay()).rejects.toMatchObject(busy);
  const unmounted = agent.call('UnmountFilesystem', { path: '/run/tskata/over' });
  await expect(unmounted).rejects.toMatchObject(busy);
  expect((await agent.call('GuestDetails', {})).mounts).toContain(SILENT);
  stopServer();
  await failed;
});

test('a container in which a process waits for it is not paused, runs on, and can be deleted once it does not wait', async () => {
  const containerId = uniqueId();
  const volume = { destination: '/volume', type: 'bind', source: VOLUME, options: ['rbind'] };
  const document = config(['cat', '/volume/silent/file']);
  const quiet = stdioRequest({ stdout: false, stderr: false });
  await agent.create(containerId, { ...document, mounts: [...document.mounts, volume] }, quiet);
  const asked = said();
  await agent.call('StartContainer', { containerId });
  await asked;

  await expect(agent.call('PauseContainer', { containerId })).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
    message: 'not all processes could be frozen within 5 s: one waits inside the kernel',
  });
  const resumed = agent.call('ResumeContainer', { containerId });
  await expect(resumed).rejects.toMatchObject({ message: 'container not paused' });
  const remove = () => agent.call('DeleteContainer', { containerId, force: true });
  await expect(remove()).rejects.toMatchObject({
    code: 'DEADLINE_EXCEEDED',
    message: `container ${containerId} cannot be deleted yet: a process that was killed waits inside the kernel; try again`,
  });
  stopServer();
  await remove();
  await expect(remove()).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
