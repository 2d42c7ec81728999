// Hooks that run in a container's namespaces: createContainer from the guest's files, startContainer from the container's.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
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

const POINTS = ['createContainer', 'startContainer'] as const;
type Point = (typeof POINTS)[number];

/** A hook of a shell: of the guest or of the container, which have it at the same place. */
const shellHook = (script: string, more: object = {}) => ({ path: '/bin/sh', args: ['sh', '-c', script], ...more });

/** A container whose program is a shell script, and its hooks. */
const hooked = (point: Point, hooks: object[], script = 'true', more: object = {}) =>
  config(['sh', '-c', script], { hooks: { [point]: hooks }, ...more });

/** Mounts with an empty volume at /volume, which anybody may write to. */
function withVolume(): { directory: string; mounts: object[] } {
  const directory = join(agent.directory, uniqueId());
  mkdirSync(directory);
  chmodSync(directory, 0o777);
  const mount = { destination: '/volume', type: 'bind', source: directory, options: ['bind'] };
  return { directory, mounts: [...config([]).mounts, mount] };
}

/** The volume's file as a hook finds it: createContainer hooks begin in the directory that will be the root. */
const fileOf = (point: Point): string => (point === 'createContainer' ? './volume/out' : '/volume/out');

/** What hooks, each a script of a shell, print into the volume. */
async function outputOf(point: Point, scripts: string[], more: object = {}): Promise<string> {
  const { mounts } = withVolume();
  const hooks = scripts.map((script) => shellHook(`PATH=/bin:/usr/bin; { ${script}; } >> ${fileOf(point)}`, more));
  const document = hooked(point, hooks, 'cat /volume/out', { mounts, annotations: { a: 'b' } });
  return (await agent.run(document)).stdout;
}

describe.each(POINTS)('%s hooks', (point) => {
  test('get the state of the container on standard input', async () => {
    const state = JSON.parse(await outputOf(point, ['cat']));
    expect(state).toEqual({
      ociVersion: '1.2.0',
      id: expect.stringMatching(/^test-/),
      status: point === 'createContainer' ? 'creating' : 'created',
      pid: 1,
      bundle: '/the/bundle',
      annotations: { a: 'b' },
    });
  });

  test('have the arguments and the environment given, and no other', async () => {
    const { mounts } = withVolume();
    const script = 'exec 3< /proc/self/cmdline 4< /proc/self/environ; cat <&3 > "$0"; cat <&4 >> "$0"; true';
    const args = ['a/name/of/sh', '-c', script, fileOf(point), 'one'];
    const hook = { path: '/bin/sh', args, env: ['PATH=/bin:/usr/bin', 'GIVEN=x'] };
    const { stdout } = await agent.run(hooked(point, [hook], 'cat /volume/out', { mounts }));
    expect(stdout.split('\0')).toEqual([...args, 'PATH=/bin:/usr/bin', 'GIVEN=x', '']);
  });

  test('have no descriptors but their three, and no signal blocked', async () => {
    expect(await outputOf(point, ['ls /proc/self/fd | tr -d "\\n"; grep SigBlk /proc/self/status'])).toMatch(
      /^0123SigBlk:\t0+\n$/,
    );
  });

  test("are in the container's namespaces and cgroup", async () => {
    expect(await outputOf(point, ['hostname; echo $PPID; grep ^0:: /proc/self/cgroup'])).toMatch(/^box\n1\n0::\/\n$/);
  });

  test('run in their order', async () => {
    expect(await outputOf(point, ['echo one', 'echo two', 'echo three'])).toBe('one\ntwo\nthree\n');
  });

  test.each<[string, object, RegExp]>([
    ['with a status', shellHook('echo out; echo err >&2; exit 3'), /#1: exit status 3, stdout: out\n, stderr: err\n$/],
    ['by a signal', shellHook('kill -9 $$'), /#1: signal: 9, stdout: , stderr: $/],
    ['for want of its file', { path: '/no/hook' }, /#1: fork\/exec \/no\/hook: no such file or directory$/],
    ['for want of permission', { path: '/etc/passwd' }, /#1: fork\/exec \/etc\/passwd: permission denied$/],
    [
      'when its time is over',
      shellHook('echo waiting; sleep 1000', { timeout: 1, env: ['PATH=/bin'] }),
      /#1: hook ran past specified timeout of 1\.0s, stdout: waiting\n, stderr: $/,
    ],
    [
      'and tells the end of its output only',
      shellHook('yes 1234567 | head -n 20000; echo; echo last; exit 1', { env: ['PATH=/bin:/usr/bin'] }),
      /stdout: .{0,1100}last\n, stderr: $/s,
    ],
  ])('that fail %s fail the call with the reason, and nothing runs', async (_, hook, message) => {
    const { directory, mounts } = withVolume();
    const document = hooked(point, [shellHook('true'), hook], 'echo ran > /volume/mark', { mounts });
    const run = agent.run(document);
    await expect(run).rejects.toMatchObject({
      message: expect.stringMatching(new RegExp(`^error running ${point} hook `)),
    });
    await expect(run).rejects.toMatchObject({ message: expect.stringMatching(message) });
    expect(existsSync(join(directory, 'mark'))).toBe(false);
  });

  test('that print without end, on both, do not stand still', async () => {
    const script = 'yes | head -c 3000000; yes | head -c 3000000 >&2';
    const hook = shellHook(script, { env: ['PATH=/bin:/usr/bin'] });
    expect(await agent.run(hooked(point, [hook]))).toMatchObject({ exitStatus: 0 });
  });

  test('may leave processes behind that hold their streams', async () => {
    const hook = shellHook('sleep 1000 & exit 0', { env: ['PATH=/bin:/usr/bin'] });
    expect(await agent.run(hooked(point, [hook]))).toMatchObject({ exitStatus: 0 });
  });

  test('that take long do not hold others up', async () => {
    const id = uniqueId();
    const slow = hooked(point, [shellHook('sleep 1000', { env: ['PATH=/bin:/usr/bin'], timeout: 2 })]);
    const failing = agent.create(id, slow).then(() => agent.call('StartContainer', { containerId: id }));
    const seen = failing.then(
      () => 'started',
      () => 'failed',
    );
    const other = agent.shell('echo others run').then(({ stdout }) => stdout);
    expect(await Promise.race([seen, other])).toBe('others run\n');
    expect(await seen).toBe('failed');
  });
});

test('a container whose createContainer hook fails leaves nothing behind', async () => {
  const cgroups = () =>
    readdirSync(`/proc/${agent.pid}/root/sys/fs/cgroup/`).filter((name) => name.startsWith('test-'));
  const id = uniqueId();
  const failing = agent.create(
    id,
    hooked('createContainer', [shellHook('sleep 1000 & exit 1', { env: ['PATH=/bin'] })]),
  );
  await expect(failing).rejects.toThrow('exit status 1');
  expect(cgroups()).toEqual([]);
  await agent.create(id, config(['true']));
  await agent.call('DeleteContainer', { containerId: id, force: true });
});

test('a container whose startContainer hook fails is stopped, and can be deleted', async () => {
  const id = uniqueId();
  await agent.create(id, hooked('startContainer', [shellHook('exit 7')]));
  await expect(agent.call('StartContainer', { containerId: id })).rejects.toThrow('exit status 7');
  expect(await agent.call('WaitProcess', { containerId: id, processId: '' })).toMatchObject({ exitStatus: 1 });
  await agent.call('DeleteContainer', { containerId: id, force: false });
});

test('createContainer hooks find their programs in the guest, and their directory is the root in the making', async () => {
  const script = join(agent.directory, 'hook.sh');
  writeFileSync(script, '#!/bin/sh\nPATH=/bin:/usr/bin\nmkdir -p made && echo "$(pwd)" > made/by-hook\n', {
    mode: 0o755,
  });
  const rootfs = agent.makeRootfs();
  const hooks = { createContainer: [{ path: script }] };
  const { stdout } = await agent.run(config(['cat', '/made/by-hook'], { hooks }), rootfs);
  expect(stdout).toBe(`${rootfs}\n`);
});

test('createContainer hooks may mount into a root that will be read-only', async () => {
  const hook = shellHook('PATH=/bin:/usr/bin:/sbin; mkdir extra && mount -t tmpfs -o size=1m hook ./extra');
  const document = hooked('createContainer', [hook], 'grep " /extra " /proc/mounts', { root: { readonly: true } });
  expect((await agent.run(document)).stdout).toMatch(/^hook \/extra tmpfs /);
});

test('createContainer hooks run as root with all rights, whatever the program has', async () => {
  const { mounts } = withVolume();
  const hook = shellHook('PATH=/bin:/usr/bin; { id -u; umask; grep CapEff /proc/self/status; } > volume/out');
  const process = { user: { uid: 1000, gid: 1000, umask: 0o077 }, capabilities: {} };
  const document = hooked('createContainer', [hook], 'cat /volume/out', { mounts, process });
  const own = /^CapEff:.*$/m.exec(readFileSync(`/proc/${agent.pid}/status`, 'utf8'))?.[0];
  expect((await agent.run(document)).stdout).toBe(`0\n0022\n${own}\n`);
});

test('startContainer hooks have the rights of the program, and its root', async () => {
  const { mounts } = withVolume();
  const script = '{ id -u; umask; ls -d /home; grep CapEff /proc/self/status; } > /volume/out';
  const process = { user: { uid: 1000, gid: 1000, umask: 0o027 }, capabilities: {} };
  const hook = shellHook(script, { env: ['PATH=/bin'] });
  const document = hooked('startContainer', [hook], 'cat /volume/out', { mounts, process });
  expect((await agent.run(document)).stdout).toBe('1000\n0027\n/home\nCapEff:\t0000000000000000\n');
});

test('startContainer hooks are made under the filter of the program, where that knows no clone3', async () => {
  // As profiles for many engines have it: libraries fall back to clone on ENOSYS.
  const syscalls = [
    { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
    { names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' },
  ];
  const { mounts } = withVolume();
  const script = 'mkdir /tmp/made; { ls /tmp; grep Seccomp: /proc/self/status; } > /volume/out';
  const hook = shellHook(script, { env: ['PATH=/bin'] });
  const linux = { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', syscalls } };
  const document = hooked('startContainer', [hook], 'cat /volume/out', { mounts, linux });
  expect((await agent.run(document)).stdout).toBe('Seccomp:\t2\n');
});

test('a hook whose interpreter is not there is told from one that is not there', async () => {
  const script = join(agent.directory, 'odd.sh');
  writeFileSync(script, '#!/no/such/interpreter\n', { mode: 0o755 });
  const hooks = { createContainer: [{ path: script }] };
  await expect(agent.run(config(['true'], { hooks }))).rejects.toThrow(
    `fork/exec ${script}: no such file or directory: the file is there, but the interpreter or dynamic loader that it names is not there where it runs: use a static program`,
  );
});

test('hooks of the host are not run, and said not to be', async () => {
  const id = uniqueId();
  const { warnings } = await agent.create(id, config(['true'], { hooks: { poststop: [{ path: '/bin/false' }] } }));
  await agent.call('DeleteContainer', { containerId: id, force: true });
  expect(warnings).toEqual(["hooks.poststop is not applied: it is the runtime's, on the host"]);
});

test('output goes on to the streams of the program after its hooks', async () => {
  const id = uniqueId();
  const stdio = stdioRequest({ stderr: false });
  await agent.create(id, hooked('startContainer', [shellHook('echo of the hook')], 'echo of the program'), stdio);
  const output = collect(await agent.stream(stdio, 'stdout'));
  await agent.call('StartContainer', { containerId: id });
  expect(String(await output)).toBe('of the program\n');
  await agent.call('DeleteContainer', { containerId: id, force: true });
});
