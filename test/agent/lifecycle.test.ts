// What may be done to a container when, and what is left of it.
import { chmodSync, copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collect, config, stdioRequest, TestAgent, uniqueId } from './harness.ts';

let agent: TestAgent;
beforeAll(async () => {
  agent = await TestAgent.start();
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});

/** The agent's own view of the cgroup tree. */
const cgroupOf = (id: string): string => `/proc/${agent.pid}/root/sys/fs/cgroup/tskata/${id}`;
const sleeper = config(['sleep', '1000']);
const quiet = stdioRequest.bind(undefined, { stdout: false, stderr: false });

async function started(document: object = sleeper): Promise<string> {
  const id = uniqueId();
  await agent.create(id, document, quiet());
  await agent.call('StartContainer', { containerId: id });
  return id;
}

const remove = (containerId: string, force = true) => agent.call('DeleteContainer', { containerId, force });
const kill = (containerId: string, signal: number, all = false) =>
  agent.call('SignalProcess', { containerId, processId: '', signal, all });
const wait = (containerId: string) => agent.call('WaitProcess', { containerId, processId: '' });

describe('create', () => {
  test('gives the pid of an init process that waits', async () => {
    const id = uniqueId();
    const { pid } = await agent.create(id, sleeper, quiet());
    expect(pid).toBeGreaterThan(1);
    expect(readFileSync(join(cgroupOf(id), 'cgroup.procs'), 'utf8')).not.toBe('');
    await remove(id, false);
  });

  test('refuses an id that is taken', async () => {
    const id = await started();
    await expect(agent.create(id, sleeper, quiet())).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await remove(id);
  });

  test.each(['', '.', '..', 'a/b', '.hidden', 'x'.repeat(129)])('refuses the id %j', async (id) => {
    await expect(agent.create(id, sleeper, quiet())).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  // Go's os/exec, as runc passes it on: callers match these texts.
  test.each([
    ['nothing', 'exec: "nothing": executable file not found in $PATH'],
    ['/nothing', 'exec: "/nothing": stat /nothing: no such file or directory'],
    ['/etc/passwd', 'exec: "/etc/passwd": permission denied'],
    ['/etc', 'exec: "/etc": is a directory'],
    ['/etc/passwd/x', 'exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory'],
  ])('fails for the program %s as runc does', async (program, message) => {
    const id = uniqueId();
    await expect(agent.create(id, config([program]), quiet())).rejects.toMatchObject({ message });
    expect(existsSync(cgroupOf(id))).toBe(false);
  });

  test('looks for the program as the user who will run it', async () => {
    const process = { user: { uid: 1000, gid: 1000 }, capabilities: undefined };
    const rootfs = agent.makeRootfs();
    copyFileSync('/usr/bin/busybox', join(rootfs, 'bin/private'));
    chmodSync(join(rootfs, 'bin/private'), 0o700);
    const created = agent.create(uniqueId(), config(['/bin/private'], { process }), quiet(), rootfs);
    await expect(created).rejects.toMatchObject({ message: 'exec: "/bin/private": permission denied' });
  });

  test.each([
    ['no mount namespace', { linux: { namespaces: [{ type: 'uts' }] } }, 'linux.namespaces'],
    [
      'a mount namespace by path',
      { linux: { namespaces: [{ type: 'mount', path: '/proc/1/ns/mnt' }, { type: 'uts' }] } },
      'linux.namespaces: the mount namespace /proc/1/ns/mnt',
    ],
  ])('refuses %s by name', async (_what, more, field) => {
    const created = agent.create(uniqueId(), config(['true'], more), quiet());
    await expect(created).rejects.toMatchObject({
      code: 'UNIMPLEMENTED',
      message: expect.stringContaining(`${field} is not supported`),
    });
  });

  test('tells what it accepts and does not apply', async () => {
    const id = uniqueId();
    const linux = { mountLabel: 'system_u:object_r:x', intelRdt: { closID: 'x' } };
    const { warnings } = await agent.create(id, config(['true'], { linux }), quiet());
    expect(warnings).toEqual([
      expect.stringContaining('linux.mountLabel is not applied'),
      expect.stringContaining('linux.intelRdt is not applied'),
    ]);
    expect(agent.log).toContain(`container ${id}: warning: linux.mountLabel`);
    await remove(id);
  });

  test.each([
    ['no JSON', '{'],
    ['no object', '[]'],
    ['no process', '{}'],
    ['a number for a name', JSON.stringify(config(['true'], { hostname: 5 as unknown as string }))],
    ['a NUL in an argument', JSON.stringify(config(['a\0b']))],
    ['no arguments', JSON.stringify(config([]))],
  ])('refuses %s', async (_what, ociConfigJson) => {
    const request = {
      containerId: uniqueId(),
      ociConfigJson,
      rootfsPath: '/',
      stdio: quiet(),
      seccomp: undefined,
      bundle: '',
    };
    await expect(agent.call('CreateContainer', request)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('leaves nothing when the root file system is missing', async () => {
    const id = uniqueId();
    const created = agent.create(id, sleeper, quiet(), join(agent.directory, 'missing'));
    await expect(created).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(existsSync(cgroupOf(id))).toBe(false);
  });
});

describe('start', () => {
  test('is done once', async () => {
    const id = await started();
    await expect(agent.call('StartContainer', { containerId: id })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
    });
    await remove(id);
  });

  test('reports a program that the kernel cannot run', async () => {
    const rootfs = agent.makeRootfs();
    writeFileSync(join(rootfs, 'bin/garbage'), 'garbage');
    chmodSync(join(rootfs, 'bin/garbage'), 0o755);
    const id = uniqueId();
    await agent.create(id, config(['garbage']), quiet(), rootfs);
    const start = agent.call('StartContainer', { containerId: id });
    await expect(start).rejects.toMatchObject({ message: 'exec /bin/garbage: exec format error' });
    await remove(id);
  });

  test('of a container that does not exist says so', async () => {
    const start = agent.call('StartContainer', { containerId: 'nobody' });
    await expect(start).rejects.toMatchObject({ code: 'NOT_FOUND', message: 'container nobody does not exist' });
  });
});

describe('the end', () => {
  test('by a signal is told with the signal, as often as it is asked for', async () => {
    const id = await started();
    const early = wait(id);
    await kill(id, 9);
    const expected = { exitStatus: 0, signal: 9, coreDumped: false };
    expect(await early).toEqual(expected);
    expect(await wait(id)).toEqual(expected);
    await remove(id, false);
  });

  test('of init is the end of all its processes', async () => {
    const id = await started(config(['sh', '-c', 'sleep 1000 & sleep 1000 & sleep 0.1']));
    expect(await wait(id)).toMatchObject({ exitStatus: 0 });
    await remove(id, false);
    expect(existsSync(cgroupOf(id))).toBe(false);
  });

  test('of init is the end of all its processes even without a pid namespace', async () => {
    const namespaces = [{ type: 'mount' }, { type: 'uts' }];
    const id = await started(config(['sh', '-c', 'sleep 1000 & sleep 0.1'], { linux: { namespaces } }));
    await wait(id);
    await remove(id, false);
    expect(existsSync(cgroupOf(id))).toBe(false);
  });

  test('comes with "all" to every process', async () => {
    const id = await started(config(['sh', '-c', 'trap "exit 7" TERM; sleep 1000 & wait']));
    await new Promise((resolve) => setTimeout(resolve, 200));
    await kill(id, 15, true);
    expect(await wait(id)).toMatchObject({ exitStatus: 7 });
    await remove(id, false);
  });

  test('makes later signals fail with the text that callers match', async () => {
    const id = await started(config(['true']));
    await wait(id);
    await expect(kill(id, 15)).rejects.toMatchObject({ message: 'os: process already finished' });
    await remove(id, false);
  });
});

describe('delete', () => {
  test('refuses a running container, and takes it with force', async () => {
    const id = await started();
    await expect(remove(id, false)).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    await remove(id, true);
    expect(existsSync(cgroupOf(id))).toBe(false);
    await expect(wait(id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('leaves the agent as it was', async () => {
    const pid = Number(readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8'));
    const descriptors = () => readdirSync(`/proc/${pid}/fd`).length;
    const before = descriptors();
    for (let index = 0; index < 5; index++) await agent.shell('true');
    expect(descriptors()).toBe(before);
    expect(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')).toBe('');
  });

  test('of many containers at once leaves none', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, () => started()));
    await Promise.all(ids.map((id) => remove(id)));
    expect(ids.filter((id) => existsSync(cgroupOf(id)))).toEqual([]);
  });
});

test('orphans are reaped', async () => {
  const namespaces = [{ type: 'mount' }];
  const id = await started(config(['sh', '-c', '(sleep 0.2 &) ; sleep 1000'], { linux: { namespaces }, hostname: '' }));
  await new Promise((resolve) => setTimeout(resolve, 500));
  const pid = readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8').trim();
  const states = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  expect(states).toHaveLength(1);
  await remove(id);
});

test('shutdown answers, then ends the containers and the agent', async () => {
  const other = await TestAgent.start();
  const id = uniqueId();
  const stdio = stdioRequest();
  await other.create(id, sleeper, stdio);
  const output = collect(await other.stream(stdio, 'stdout'));
  await other.call('StartContainer', { containerId: id });
  await other.call('Shutdown', {});
  expect((await output).length).toBe(0);
  await other.ended();
  expect(existsSync(cgroupOf(id))).toBe(false);
  await other[Symbol.asyncDispose]();
});
