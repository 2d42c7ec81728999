// Control groups without the controllers that need a guest (test/guest/agent-cgroup.test.ts): devices, pause, processes, events.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Event } from '../../src/protocol/agent.gen.ts';
import { collect, config, stdioRequest, TestAgent, uniqueId } from './harness.ts';

let agent: TestAgent;
beforeAll(async () => {
  agent = await TestAgent.start();
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});

const cgroupOf = (id: string): string => `/proc/${agent.pid}/root/sys/fs/cgroup/tskata/${id}`;
const quiet = () => stdioRequest({ stdout: false, stderr: false });
const SLEEPER = ['sleep', '1000'];

/** A container that runs, and is removed with the test that made it. */
async function start(args: readonly string[] = SLEEPER, linux: object = {}) {
  const id = uniqueId();
  const capabilities = ['CAP_MKNOD', 'CAP_KILL', 'CAP_SYSLOG'];
  const process = { capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities } };
  await agent.create(id, config(args, { linux, process }), quiet());
  await agent.call('StartContainer', { containerId: id });
  return {
    id,
    cgroup: cgroupOf(id),
    kill: (signal: number) => agent.call('SignalProcess', { containerId: id, processId: '', signal, all: false }),
    wait: () => agent.call('WaitProcess', { containerId: id, processId: '' }),
    pause: () => agent.call('PauseContainer', { containerId: id }),
    resume: () => agent.call('ResumeContainer', { containerId: id }),
    update: (resources: object) =>
      agent.call('UpdateContainer', { containerId: id, ociResourcesJson: JSON.stringify(resources) }),
    stats: () => agent.call('ContainerStats', { containerId: id }),
    processes: async () => (await agent.call('ListProcesses', { containerId: id })).processes,
    /** Runs a shell script. @returns what it printed */
    shell: (script: string) => exec(id, script),
    [Symbol.asyncDispose]: async () => {
      await agent.call('DeleteContainer', { containerId: id, force: true });
    },
  };
}

async function exec(containerId: string, script: string, processId = uniqueId()): Promise<string> {
  const stdio = stdioRequest({ stderr: false });
  const all = ['CAP_MKNOD', 'CAP_SYSLOG'];
  const ociProcessJson = JSON.stringify({
    args: ['sh', '-c', script],
    cwd: '/tmp',
    env: ['PATH=/bin'],
    user: { uid: 0, gid: 0 },
    capabilities: { bounding: all, effective: all, permitted: all },
  });
  await agent.call('ExecProcess', { containerId, processId, ociProcessJson, stdio, ignorePaused: false });
  const printed = await collect(await agent.stream(stdio, 'stdout'));
  await agent.call('WaitProcess', { containerId, processId });
  return printed.toString();
}

/** Makes a node in /tmp and tries to use it. */
const attempt = (name: string, type: string, major: number, minor: number): string =>
  `rm -f ${name}; busybox mknod ${name} ${type} ${major} ${minor} && echo made; (: < ${name}) 2>/dev/null && echo read; (: > ${name}) 2>/dev/null && echo written; true`;

describe('devices', () => {
  const LOOP_CONTROL = attempt('loop-control', 'c', 10, 237);
  const KMSG = attempt('kmsg', 'c', 1, 11);
  const NULL = attempt('null', 'c', 1, 3);

  test('of a container without rules are the default ones', async () => {
    await using box = await start();
    expect(await box.shell(NULL)).toBe('made\nread\nwritten\n');
    expect(await box.shell('ls /dev/pts/ptmx; (: < /dev/urandom) && echo random')).toBe('/dev/pts/ptmx\nrandom\n');
    // Any node may be made; only what is allowed can be opened.
    expect(await box.shell(KMSG)).toBe('made\n');
  });

  test('are allowed by rules, the last of which counts', async () => {
    const devices = [
      { allow: false, access: 'rwm' },
      { allow: true, type: 'c', major: 1, access: 'rw' },
      { allow: false, type: 'c', major: 1, minor: 11, access: 'w' },
    ];
    await using box = await start(SLEEPER, { resources: { devices } });
    expect(await box.shell(KMSG)).toBe('made\nread\n');
  });

  test('are all there for who may have all', async () => {
    await using box = await start(SLEEPER, { resources: { devices: [{ allow: true, access: 'rwm' }] } });
    expect(await box.shell(KMSG)).toBe('made\nread\nwritten\n');
  });

  test('change with an update, for processes that run', async () => {
    await using box = await start();
    await box.update({ devices: [{ allow: true, type: 'c', major: 1, minor: 11, access: 'r' }] });
    expect(await box.shell(KMSG)).toBe('made\nread\n');
    await box.update({ devices: [{ allow: false, access: 'rwm' }] });
    expect(await box.shell(KMSG)).toBe('made\n');
    expect(await box.shell(NULL)).toBe('made\nread\nwritten\n');
  });

  test('stay as they are with an update that fails, and with one that does not name them', async () => {
    const devices = [{ allow: true, type: 'c', major: 1, minor: 11, access: 'r' }];
    await using box = await start(SLEEPER, { resources: { devices } });
    const update = box.update({ devices: [{ allow: false, access: 'rwm' }], unified: { 'cgroup.max.depth': 'deep' } });
    await expect(update).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    expect(await box.shell(KMSG)).toBe('made\nread\n');
    await box.update({ unified: { 'cgroup.max.depth': '7' } });
    expect(await box.shell(KMSG)).toBe('made\nread\n');
  });

  test('may be ruled by hundreds of rules', async () => {
    const rule = (_: unknown, index: number) => ({
      allow: true,
      type: 'c',
      major: 300 + index,
      minor: 7,
      access: 'rw',
    });
    const devices = [
      ...Array.from({ length: 500 }, rule),
      { allow: true, type: 'c', major: 1, minor: 11, access: 'w' },
    ];
    await using box = await start(SLEEPER, { resources: { devices } });
    expect(await box.shell(KMSG)).toBe('made\nwritten\n');
    expect(await box.shell(LOOP_CONTROL)).toBe('made\n');
  });

  test.each([
    [{ allow: true, type: 'x', access: 'r' }, 'linux.resources.devices[0].type is "x"'],
    [{ allow: true, type: 'c', access: '' }, 'linux.resources.devices[0].access is ""'],
  ])('are refused where a rule is none: %j', async (rule, message) => {
    const created = agent.create(uniqueId(), config(SLEEPER, { linux: { resources: { devices: [rule] } } }), quiet());
    await expect(created).rejects.toMatchObject({ message: expect.stringContaining(message) });
    await using box = await start();
    await expect(box.update({ devices: [rule] })).rejects.toMatchObject({ message: expect.stringContaining(message) });
  });
});

describe('pause', () => {
  const COUNTER = ['sh', '-c', 'i=0; while true; do i=$((i+1)); echo $i > /tmp/count; done'];

  test('freezes every process until resume', async () => {
    await using box = await start(COUNTER);
    await box.pause();
    expect(readFileSync(join(box.cgroup, 'cgroup.events'), 'utf8')).toContain('frozen 1');
    const states = (await box.processes()).map(({ cpuTimeUs }) => cpuTimeUs);
    expect((await box.processes()).map(({ cpuTimeUs }) => cpuTimeUs)).toEqual(states);
    await box.resume();
    expect(readFileSync(join(box.cgroup, 'cgroup.events'), 'utf8')).toContain('frozen 0');
    expect(await box.shell('echo here')).toBe('here\n');
  });

  test('and resume have the words of runc when they cannot be', async () => {
    await using box = await start();
    const failed = (message: string) => ({ code: 'FAILED_PRECONDITION', message });
    await expect(box.resume()).rejects.toMatchObject(failed('container not paused'));
    await box.pause();
    await expect(box.pause()).rejects.toMatchObject(failed('container not running'));
    await expect(box.shell('true')).rejects.toMatchObject(failed('cannot exec in a paused container'));
    await box.kill(9);
    await box.wait();
    await expect(box.pause()).rejects.toMatchObject(failed('container not running'));
    await expect(box.resume()).rejects.toMatchObject(failed('container not running'));
  });

  test('does not keep from being killed', async () => {
    await using box = await start();
    await box.pause();
    await box.kill(9);
    expect(await box.wait()).toMatchObject({ signal: 9 });
  });

  test('keeps other signals for later', async () => {
    await using box = await start(['sh', '-c', 'trap "exit 7" TERM; while true; do sleep 0.01; done']);
    await expect.poll(() => box.shell('grep SigCgt /proc/1/status')).toMatch(/4.{3}$/m);
    await box.pause();
    await box.kill(15);
    expect(await box.processes()).not.toEqual([]);
    await box.resume();
    expect(await box.wait()).toMatchObject({ exitStatus: 7 });
  });

  test('does not keep from being deleted with force', async () => {
    const box = await start();
    await box.pause();
    await box[Symbol.asyncDispose]();
    expect(existsSync(box.cgroup)).toBe(false);
  });

  test('holds for a container that was not started, and for its start', async () => {
    const containerId = uniqueId();
    await agent.create(containerId, config(['true']), quiet());
    await agent.call('PauseContainer', { containerId });
    await expect(agent.call('StartContainer', { containerId })).rejects.toMatchObject({
      message: 'cannot start a container in the paused state',
    });
    await agent.call('ResumeContainer', { containerId });
    await agent.call('StartContainer', { containerId });
    expect(await agent.call('WaitProcess', { containerId, processId: '' })).toMatchObject({ exitStatus: 0 });
    await agent.call('DeleteContainer', { containerId, force: false });
  });

  test('does not keep limits from being changed', async () => {
    await using box = await start();
    await box.pause();
    await box.update({ unified: { 'cgroup.max.depth': '3' } });
    expect(readFileSync(join(box.cgroup, 'cgroup.max.depth'), 'utf8')).toBe('3\n');
  });
});

describe('update', () => {
  test('is all or nothing', async () => {
    await using box = await start();
    const values = () =>
      ['cgroup.max.depth', 'cgroup.max.descendants'].map((file) => readFileSync(join(box.cgroup, file), 'utf8'));
    const before = values();
    const update = box.update({ unified: { 'cgroup.max.depth': '3', 'cgroup.max.descendants': 'many' } });
    await expect(update).rejects.toMatchObject({
      message:
        'linux.resources.unified.cgroup.max.descendants: cannot set cgroup.max.descendants to "many": invalid argument',
    });
    expect(values()).toEqual(before);
  });

  test('names a control that the kernel has not', async () => {
    await using box = await start();
    await expect(box.update({ unified: { 'memory.maximum': '1' } })).rejects.toMatchObject({
      message: expect.stringContaining(
        'memory.maximum to "1": no such file or directory: this kernel has no such control',
      ),
    });
  });

  test('tells what it does not apply', async () => {
    await using box = await start();
    expect(await box.update({ memory: { disableOOMKiller: true } })).toEqual({
      warnings: [expect.stringContaining('linux.resources.memory.disableOOMKiller is not applied')],
    });
  });

  test.each(['{', '[]', '{"pids":5}'])('refuses %s', async (ociResourcesJson) => {
    await using box = await start();
    const update = agent.call('UpdateContainer', { containerId: box.id, ociResourcesJson });
    await expect(update).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('of a container that has ended is refused', async () => {
    await using box = await start(['true']);
    await box.wait();
    await expect(box.update({})).rejects.toMatchObject({ message: 'container not running' });
  });
});

test('a signal for all reaches one that is never the same for long', async () => {
  await using box = await start();
  await box.shell("echo 'sh $0 &' > comet; sh comet");
  await agent.call('SignalProcess', { containerId: box.id, processId: '', signal: 15, all: true });

  await expect.poll(async () => (await box.processes()).map(({ containerPid }) => containerPid)).toEqual([1]);
});

test('limits that cannot be set leave no cgroup behind', async () => {
  const id = uniqueId();
  const linux = { resources: { unified: { 'cgroup.max.depth': '-5' } } };
  await expect(agent.create(id, config(SLEEPER, { linux }), quiet())).rejects.toMatchObject({
    message: expect.stringContaining('linux.resources.unified.cgroup.max.depth: cannot set cgroup.max.depth to "-5"'),
  });
  expect(existsSync(cgroupOf(id))).toBe(false);
});

test('huge pages are limited, reserved ones too', async () => {
  await using box = await start(SLEEPER, { resources: { hugepageLimits: [{ pageSize: '2MB', limit: 4194304 }] } });
  for (const file of ['hugetlb.2MB.max', 'hugetlb.2MB.rsvd.max']) {
    expect(readFileSync(join(box.cgroup, file), 'utf8')).toBe('4194304\n');
  }
  const { hugetlb } = await box.stats();
  expect(hugetlb).toContainEqual({ pageSize: '2MB', usageBytes: 0n, limitBytes: 4194304n, failures: 0n });
});

test('statistics count the processor time and the interfaces of a container', async () => {
  await using box = await start(['sh', '-c', 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000']);
  await expect.poll(async () => (await box.stats()).cpu?.userUs).toBeGreaterThan(0n);
  const { cpu, interfaces } = await box.stats();
  expect(cpu?.usageUs).toBeGreaterThan(0n);
  expect(interfaces.map(({ name }) => name)).toContain('lo');
});

describe('processes', () => {
  test('are listed with their pids in the container and in the guest', async () => {
    await using box = await start();
    // It runs for a moment before it sleeps.
    const asleep = { containerPid: 1, uid: 0, commandLine: SLEEPER, state: 'S' };
    await expect.poll(() => box.processes()).toEqual([expect.objectContaining(asleep)]);
    const [init] = await box.processes();
    expect(init?.residentBytes).toBeGreaterThan(0n);
    expect(init?.startTimeUs).toBeGreaterThan(0n);
  });

  test('are listed where they hide: in cgroups of their own, under any name, with command lines of any length', async () => {
    const script = `printf ') R 1\\n2' > /proc/self/comm; sleep 1000 & wait`;
    const args = ['sh', '-c', script, ') S 1', 'argument\n'.repeat(600)];
    await using box = await start(args);
    const commands = async () =>
      (await box.processes()).map(({ commandLine }) => commandLine.slice(0, 4).join(' ')).sort();
    await expect.poll(commands).toEqual([`sh -c ${script} ) S 1`, 'sleep 1000']);
    const nested = join(box.cgroup, 'a b', 'c');
    mkdirSync(nested, { recursive: true });
    writeFileSync(
      join(nested, 'cgroup.procs'),
      readFileSync(join(box.cgroup, 'cgroup.procs')).toString().split('\n')[1] ?? '',
    );
    const processes = await box.processes();
    expect(processes.map(({ containerPid }) => containerPid).sort()).toEqual([1, 2]);
    const lengths = processes.map(({ commandLine }) => commandLine.join(' ').length);
    expect(Math.max(...lengths)).toBeGreaterThan(3000);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(4096);
  });

  test('of a container that has ended are none', async () => {
    await using box = await start(['true']);
    await box.wait();
    expect(await box.processes()).toEqual([]);
  });
});

describe('events', () => {
  async function take(events: AsyncIterable<Event>, count: number): Promise<Event[]> {
    const taken: Event[] = [];
    for await (const event of events) if (taken.push(event) === count) break;
    return taken;
  }

  test('tell of the end of the init process and of others', async () => {
    const containerId = uniqueId();
    const events = take(agent.subscribe('Events', { containerId }), 2);
    await agent.create(containerId, config(SLEEPER), quiet());
    await agent.call('StartContainer', { containerId });
    await exec(containerId, 'exit 3', 'other');
    await agent.call('SignalProcess', { containerId, processId: '', signal: 9, all: false });
    const ended = { coreDumped: false, pid: expect.any(Number) };
    expect(await events).toEqual([
      {
        containerId,
        kind: { $case: 'processExited', value: { ...ended, processId: 'other', exitStatus: 3, signal: 0 } },
      },
      { containerId, kind: { $case: 'processExited', value: { ...ended, processId: '', exitStatus: 0, signal: 9 } } },
    ]);
    await agent.call('DeleteContainer', { containerId, force: true });
  });

  test('tell of all containers who names none', async () => {
    const events = agent.subscribe('Events', { containerId: '' });
    const ids = [uniqueId(), uniqueId()];
    for (const id of ids) {
      await agent.create(id, config(['true']), quiet());
      await agent.call('StartContainer', { containerId: id });
      await agent.call('WaitProcess', { containerId: id, processId: '' });
      await agent.call('DeleteContainer', { containerId: id, force: false });
    }
    expect((await take(events, 2)).map(({ containerId }) => containerId)).toEqual(ids);
  });
});

describe('cgroups below', () => {
  const WRITABLE = [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/sys', type: 'sysfs', source: 'sysfs' },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['rw'] },
  ];

  /** Makes cgroups as a service manager does, with its own processes in one of them. */
  async function manager(script: string) {
    const id = uniqueId();
    const document = config(['sh', '-c', `cd /sys/fs/cgroup; ${script}; sleep 1000`], { mounts: WRITABLE });
    await agent.create(id, document, quiet());
    await agent.call('StartContainer', { containerId: id });
    return id;
  }

  test('go with the container, whatever their names are and with processes in them', async () => {
    const id = await manager(
      `busybox mkdir -p "$(busybox printf 'x\\377y')" 'a b/cgroup.procs.d' init; echo $$ > init/cgroup.procs`,
    );
    await expect.poll(() => readdirSync(join(cgroupOf(id), 'a b'))).toContain('cgroup.procs.d');
    await expect.poll(() => readFileSync(join(cgroupOf(id), 'init/cgroup.procs'), 'utf8')).not.toBe('');
    await agent.call('DeleteContainer', { containerId: id, force: true });
    expect(existsSync(cgroupOf(id))).toBe(false);
  });

  test('are made by the user whose container it is, who cannot change its limits', async () => {
    const document = config(
      [
        'sh',
        '-c',
        'cd /sys/fs/cgroup; busybox mkdir mine && echo $$ > mine/cgroup.procs && echo moved; (echo 1 > cgroup.max.depth) 2>/dev/null || echo denied',
      ],
      { mounts: WRITABLE, process: { user: { uid: 1000, gid: 1000 }, capabilities: undefined } },
    );
    expect(await agent.run(document)).toMatchObject({ stdout: 'moved\ndenied\n', exitStatus: 0 });
  });

  test('are bounded in depth and in number, and go however deep they are', async () => {
    const box = await start();
    // Longer, all together, than any path may be.
    const dig = `import os
depth = 0
try:
    while True:
        os.mkdir('d' * 250)
        os.chdir('d' * 250)
        depth += 1
except BlockingIOError:
    print(depth)`;
    const depth = execFileSync('/usr/bin/python3', ['-c', dig], { cwd: box.cgroup });
    expect(depth.toString()).toBe('32\n');
    expect(readFileSync(join(box.cgroup, 'cgroup.max.descendants'), 'utf8')).toBe('4096\n');
    expect(await box.processes()).toHaveLength(1);
    await box[Symbol.asyncDispose]();
    expect(existsSync(box.cgroup)).toBe(false);
  });
});
