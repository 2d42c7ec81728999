// More processes in a running container.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { collect, config, stdioRequest, TestAgent, uniqueId } from './harness.ts';

let agent: TestAgent;
let containerId: string;
beforeAll(async () => {
  agent = await TestAgent.start();
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});
beforeEach(async () => {
  containerId = uniqueId();
  await agent.create(containerId, config(['sleep', '1000']), stdioRequest({ stdout: false, stderr: false }));
  await agent.call('StartContainer', { containerId });
});
afterEach(async () => {
  await agent.call('DeleteContainer', { containerId, force: true });
});

let serial = 0;

async function exec(args: string[], process: object = {}) {
  serial += 1;
  const processId = `exec-${serial}`;
  const stdio = stdioRequest({ stderr: false });
  const document = { ...config(args).process, ...process };
  const request = { containerId, processId, ociProcessJson: JSON.stringify(document), stdio, ignorePaused: false };
  const { pid, warnings } = await agent.call('ExecProcess', request);
  const output = collect(await agent.stream(stdio, 'stdout'));
  const ended = agent.call('WaitProcess', { containerId, processId });
  return { pid, warnings, output: output.then(String), ended, processId };
}

test('runs in the namespaces and the cgroup of the container', async () => {
  const { output, ended } = await exec([
    'sh',
    '-c',
    'hostname; ls -d /proc/1; cat /proc/1/comm; grep ^0:: /proc/self/cgroup; exit 3',
  ]);
  expect(await output).toBe('box\n/proc/1\nsleep\n0::/\n');
  expect(await ended).toEqual({ exitStatus: 3, signal: 0, coreDumped: false });
});

test('has rights, environment and working directory of its own', async () => {
  const { output } = await exec(['sh', '-c', 'id -u; pwd; echo $A'], {
    user: { uid: 1000, gid: 1000 },
    cwd: '/tmp',
    env: ['PATH=/bin', 'A=b'],
  });
  expect(await output).toBe('1000\n/tmp\nb\n');
});

test('has no descriptors but its three', async () => {
  const { output } = await exec(['ls', '/proc/self/fd']);
  expect(await output).toBe('0\n1\n2\n3\n');
});

test('ends by a signal of its own', async () => {
  const { processId, ended } = await exec(['sleep', '1000']);
  await agent.call('SignalProcess', { containerId, processId, signal: 15, all: false });
  expect(await ended).toEqual({ exitStatus: 0, signal: 15, coreDumped: false });
});

test('leaves the agent in its own pid namespace', async () => {
  await (await exec(['true'])).ended;
  const other = await agent.run(config(['sh', '-c', 'echo $$']));
  expect(other.stdout).toBe('1\n');
});

test('ends with the container', async () => {
  const { ended } = await exec(['sleep', '1000']);
  await agent.call('SignalProcess', { containerId, processId: '', signal: 9, all: false });
  expect(await ended).toMatchObject({ signal: 9 });
});

test('of a missing program fails at once, as runc does', async () => {
  await expect(exec(['nothing'])).rejects.toMatchObject({
    message: 'exec: "nothing": executable file not found in $PATH',
  });
});

test('of a missing program fails every time, however fast its process ends', async () => {
  const attempts = await Promise.allSettled(Array.from({ length: 40 }, () => exec(['nothing'])));
  expect(attempts.filter(({ status }) => status === 'fulfilled')).toEqual([]);
});

test('in a working directory that is missing fails as runc does', async () => {
  await expect(exec(['true'], { cwd: '/missing' })).rejects.toMatchObject({
    message: 'chdir to cwd ("/missing") set in config.json failed: no such file or directory',
  });
});

test('needs a name that is free and a container that runs', async () => {
  const request = {
    containerId,
    processId: '',
    ociProcessJson: JSON.stringify(config(['true']).process),
    stdio: stdioRequest(),
    ignorePaused: false,
  };
  await expect(agent.call('ExecProcess', request)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  await agent.call('SignalProcess', { containerId, processId: '', signal: 9, all: false });
  await agent.call('WaitProcess', { containerId, processId: '' });
  const late = agent.call('ExecProcess', { ...request, processId: 'late' });
  await expect(late).rejects.toMatchObject({ message: 'container not running' });
});

test('many at once are kept apart', async () => {
  const all = await Promise.all(
    Array.from({ length: 12 }, (_, index) => exec(['sh', '-c', `echo ${index}; exit ${index}`])),
  );
  expect(await Promise.all(all.map(({ output }) => output))).toEqual(all.map((_, index) => `${index}\n`));
  const endings = await Promise.all(all.map(({ ended }) => ended));
  expect(endings.map(({ exitStatus }) => exitStatus)).toEqual(all.map((_, index) => index));
});
