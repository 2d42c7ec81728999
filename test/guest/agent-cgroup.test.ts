// Limits of containers by the guest's kernel, which has every controller. One VM for the whole file.
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectToGuest } from '../../src/agent-client/guest-socket.ts';
import type { Event } from '../../src/protocol/agent.gen.ts';
import { AGENT_STDIO_PORT } from '../../src/protocol/agent-service.ts';
import { config, stdioRequest, uniqueId } from '../agent/harness.ts';
import { type AgentGuest, type AgentVm, BOX, ROOTS_PATH, startAgentVm } from './agent-guest.ts';
import { useGuestFiles } from './tsvm-harness.ts';

const MIB = 1 << 20;
const MEMORY_MIB = 192;
/** The first virtio disk: read from /proc/partitions, as major numbers of virtio-blk are not fixed. */
let disk = { major: 0, minor: 0 };

const files = useGuestFiles();
let machine: AgentVm;
let guest: AgentGuest;

beforeAll(async () => {
  execFileSync('truncate', ['-s', '16M', files.path('disk.img')]);
  machine = await startAgentVm(files, { memoryMib: MEMORY_MIB, cpus: 2, disks: [{ path: files.path('disk.img') }] });
  guest = machine.guest;
  await using box = await start();
  const [, major, minor] = /^ *(\d+) +(\d+) +\d+ vda$/m.exec(await box.sh('cat /proc/partitions')) ?? [];
  disk = { major: Number(major), minor: Number(minor) };
});

afterAll(async () => {
  await machine?.[Symbol.asyncDispose]();
});

const SLEEPER = 'sleep 100000';

/** A container that runs a shell script, and is removed with the test that made it. */
async function start(
  script = SLEEPER,
  resources: object = {},
  more: { linux?: object; mounts?: object[]; hooks?: object } = {},
) {
  const containerId = uniqueId();
  const { linux, ...rest } = more;
  const stdio = stdioRequest({ stderr: false });
  await guest.agent.call('CreateContainer', {
    containerId,
    ociConfigJson: JSON.stringify(config(['sh', '-c', script], { linux: { resources, ...linux }, ...rest })),
    rootfsPath: `${ROOTS_PATH}/${BOX}`,
    stdio,
    seccomp: undefined,
    bundle: '',
  });
  const stdout = await connectToGuest(machine.vsock, AGENT_STDIO_PORT);
  stdout.write(`${stdio.token} stdout\n`);
  let output = '';
  stdout.on('data', (bytes: Buffer) => {
    output += bytes.toString();
  });
  await guest.agent.call('StartContainer', { containerId });
  const stats = () => guest.agent.call('ContainerStats', { containerId });
  const sh = (line: string) => guest.exec(containerId, ['sh', '-c', line]);
  return {
    id: containerId,
    stats,
    sh,
    /** A control file of its cgroup: its cgroup namespace begins there. */
    control: async (file: string) => (await sh(`cat /sys/fs/cgroup/${file}`)).trimEnd(),
    update: (value: object) =>
      guest.agent.call('UpdateContainer', { containerId, ociResourcesJson: JSON.stringify(value) }),
    /** Settles when the script has ended. */
    ended: () => guest.agent.wait({ containerId, processId: '' }),
    /** Settles when the script has printed this. */
    printed: (text: string) => expect.poll(() => output, { timeout: 60_000 }).toContain(text),
    [Symbol.asyncDispose]: async () => {
      await guest.agent.call('DeleteContainer', { containerId, force: true });
    },
  };
}

/** Takes events up to one that is wanted. */
async function upTo(events: AsyncIterable<Event>, isLast: (event: Event) => boolean): Promise<Event[]> {
  const taken: Event[] = [];
  for await (const event of events) {
    taken.push(event);
    if (isLast(event)) break;
  }
  return taken;
}

/** Touches that much memory at once. */
const eat = (mib: number): string => `dd if=/dev/zero of=/dev/null bs=${mib}M count=1 2>/dev/null`;

test('the guest has every controller that the specification knows', async () => {
  await using box = await start();
  expect((await box.control('cgroup.controllers')).split(' ').sort()).toEqual([
    'cpu',
    'cpuset',
    'hugetlb',
    'io',
    'memory',
    'pids',
  ]);
});

test('limits are in the files of the cgroup', async () => {
  await using box = await start(SLEEPER, {
    memory: { limit: 64 * MIB, swap: 96 * MIB, reservation: 16 * MIB },
    pids: { limit: 50 },
    cpu: { shares: 2048, quota: 50000, period: 100000, burst: 10000, cpus: '1', mems: '0' },
    blockIO: {
      weight: 100,
      throttleReadBpsDevice: [{ ...disk, rate: MIB }],
      throttleWriteIOPSDevice: [{ ...disk, rate: 99 }],
    },
    hugepageLimits: [{ pageSize: '2MB', limit: 4 * MIB }],
    unified: { 'memory.high': String(60 * MIB), 'memory.oom.group': '1' },
  });
  const values = {
    'memory.max': String(64 * MIB),
    'memory.swap.max': String(32 * MIB),
    'memory.low': String(16 * MIB),
    'memory.high': String(60 * MIB),
    'memory.oom.group': '1',
    'pids.max': '50',
    'cpu.weight': '174',
    'cpu.max': '50000 100000',
    'cpu.max.burst': '10000',
    'cpuset.cpus': '1',
    'io.weight': 'default 910',
    'io.max': `${disk.major}:${disk.minor} rbps=${MIB} wbps=max riops=max wiops=99`,
    'hugetlb.2MB.max': String(4 * MIB),
    'hugetlb.2MB.rsvd.max': String(4 * MIB),
  };
  const names = Object.keys(values);
  const read = await box.sh(names.map((name) => `cat /sys/fs/cgroup/${name}`).join('; '));
  expect(read.trimEnd().split('\n')).toEqual(Object.values(values));
  expect(await box.sh('grep Cpus_allowed_list /proc/self/status')).toBe('Cpus_allowed_list:\t1\n');
  expect(await box.stats()).toMatchObject({
    memory: { limitBytes: BigInt(64 * MIB), swapLimitBytes: BigInt(32 * MIB) },
    pids: { limit: 50n },
    hugetlb: expect.arrayContaining([expect.objectContaining({ pageSize: '2MB', limitBytes: BigInt(4 * MIB) })]),
  });
});

test('memory beyond the limit is not to be had: the process is killed, and that is told before its end', async () => {
  const limited = { memory: { limit: 24 * MIB, swap: 24 * MIB } };
  const seen = upTo(guest.agent.events(''), ({ kind }) => kind?.$case === 'processExited');
  await using box = await start(`exec ${eat(48)}`, limited);
  expect(await box.ended()).toMatchObject({ signal: 9 });
  expect((await seen).map(({ containerId, kind }) => [containerId, kind?.$case])).toEqual([
    [box.id, 'outOfMemory'],
    [box.id, 'processExited'],
  ]);
  const { memory } = await box.stats();
  expect(memory?.oomKills).toBe(1n);
  expect(memory?.oomEvents).toBeGreaterThan(0n);
  expect(memory?.peakBytes).toBeLessThanOrEqual(BigInt(24 * MIB));
});

test('processes beyond the limit are not to be had', async () => {
  await using box = await start(`for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; sleep 1000`, { pids: { limit: 5 } });
  await expect.poll(async () => (await box.stats()).pids?.current).toBeLessThanOrEqual(5n);
  // The shell's status when it cannot fork.
  expect(await box.ended()).toMatchObject({ exitStatus: 2 });
});

test('processor time beyond the quota has to be waited for', async () => {
  await using box = await start('while true; do :; done', { cpu: { quota: 5000, period: 50000 } });
  await expect.poll(async () => (await box.stats()).cpu?.throttledPeriods, { timeout: 60_000 }).toBeGreaterThan(2n);
  const { cpu } = await box.stats();
  expect(cpu?.periods).toBeGreaterThan(2n);
  expect(cpu?.throttledUs).toBeGreaterThan(0n);
  expect(cpu?.pressure?.someUs).toBeGreaterThan(0n);
});

test('a quota slows the program and its startContainer hooks, but not what makes the container', async () => {
  const files = ['cpu.max', 'memory.max', 'pids.max'].map((file) => `sys/fs/cgroup/${file}`).join(' ');
  const note = (name: string) => `for file in ${files}; do read value < $file; echo $value; done > dev/shm/${name}`;
  // All begin in the container's root, or in what will be that.
  const hooks = {
    createContainer: [{ path: `${ROOTS_PATH}/${BOX}/bin/busybox`, args: ['sh', '-c', note('making')] }],
    startContainer: [{ path: '/bin/busybox', args: ['sh', '-c', note('starting')] }],
  };
  const resources = { cpu: { quota: 50000, period: 100000 }, memory: { limit: 64 * MIB }, pids: { limit: 50 } };
  await using box = await start(`${note('running')}; echo noted; ${SLEEPER}`, resources, { hooks });
  await box.printed('noted');
  const noted = await box.sh('cd /dev/shm; cat making starting running');

  const others = `${64 * MIB}\n50\n`;
  expect(noted).toBe(`max 100000\n${others}50000 100000\n${others}50000 100000\n${others}`);
});

test('transfers of a disk are counted, and limited where the filter lets a container have it', async () => {
  const node = { path: '/dev/disk', type: 'b', ...disk, fileMode: 0o600, uid: 0, gid: 0 };
  const devices = [{ allow: true, type: 'b', ...disk, access: 'r' }];
  const throttled = { devices, blockIO: { throttleReadIOPSDevice: [{ ...disk, rate: 1000 }] } };
  await using box = await start(SLEEPER, throttled, { linux: { resources: throttled, devices: [node] } });
  await box.sh('dd if=/dev/disk of=/dev/null bs=4096 count=32 iflag=direct');
  const [counted] = (await box.stats()).blockDevices;
  expect(counted).toMatchObject({ ...disk, readBytes: 131072n, reads: 32n });
  expect(await box.sh('(: > /dev/disk) 2>/dev/null || echo denied')).toBe('denied\n');
  await using other = await start(SLEEPER, {}, { linux: { devices: [node] } });
  expect(await other.sh('(: < /dev/disk) 2>/dev/null || echo denied')).toBe('denied\n');
});

describe('an update', () => {
  test('changes what it names, and leaves the rest', async () => {
    await using box = await start(SLEEPER, {
      memory: { limit: 64 * MIB, swap: 64 * MIB },
      pids: { limit: 50 },
      cpu: { quota: 50000, period: 100000 },
    });
    await box.update({ memory: { limit: 96 * MIB }, cpu: { period: 20000 } });
    expect(await box.control('memory.max')).toBe(String(96 * MIB));
    expect(await box.control('memory.swap.max')).toBe('0');
    expect(await box.control('cpu.max')).toBe('50000 20000');
    expect(await box.control('pids.max')).toBe('50');
    await box.update({ memory: { swap: 128 * MIB } });
    expect(await box.control('memory.swap.max')).toBe(String(32 * MIB));
    await box.update({ memory: { limit: -1 }, pids: { limit: -1 } });
    expect(await box.control('memory.max')).toBe('max');
    expect(await box.control('memory.swap.max')).toBe('max');
    expect(await box.control('pids.max')).toBe('max');
  });

  test('that fails restores what it has changed', async () => {
    await using box = await start(SLEEPER, {
      memory: { limit: 64 * MIB, swap: 80 * MIB },
      blockIO: { throttleReadBpsDevice: [{ ...disk, rate: 5 * MIB }] },
      cpu: { shares: 512, quota: 50000, period: 100000, burst: 10000, cpus: '1' },
    });
    const read = () =>
      box.sh(
        'cd /sys/fs/cgroup; cat memory.max memory.swap.max io.max io.weight cpu.weight cpu.max cpu.max.burst cpuset.cpus',
      );
    const before = await read();
    const update = box.update({
      memory: { limit: 32 * MIB, swap: 32 * MIB },
      blockIO: {
        weight: 20,
        throttleReadBpsDevice: [{ ...disk, rate: 0 }],
        throttleWriteBpsDevice: [{ ...disk, rate: 7 * MIB }],
      },
      cpu: { shares: 4096, quota: 5000, period: 20000, burst: 100, cpus: '0' },
      unified: { 'memory.high': 'plenty' },
    });
    await expect(update).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: 'linux.resources.unified.memory.high: cannot set memory.high to "plenty": invalid argument',
    });
    expect(await read()).toBe(before);
  });

  test('may be refused where memory is in use already', async () => {
    await using box = await start(SLEEPER);
    const update = box.update({ memory: { limit: 4096, checkBeforeUpdate: true } });
    await expect(update).rejects.toMatchObject({
      message: expect.stringMatching(/^rejecting memory limit 4096 <= usage \d+$/),
    });
    expect(await box.control('memory.max')).toBe('max');
  });

  test('cannot limit swap of a container whose memory is not limited', async () => {
    await using box = await start(SLEEPER);
    await expect(box.update({ memory: { swap: 64 * MIB } })).rejects.toMatchObject({
      message: expect.stringContaining('unable to set swap limit without memory limit'),
    });
  });

  test('to idle and back keeps the weight', async () => {
    await using box = await start(SLEEPER, { cpu: { shares: 2048 } });
    await box.update({ cpu: { idle: 1 } });
    expect(await box.control('cpu.idle')).toBe('1');
    await box.update({ cpu: { idle: 0, shares: 512 } });
    expect(await box.control('cpu.weight')).toBe('59');
  });
});

test('containers of one pod have limits and counts of their own', async () => {
  await using a = await start(SLEEPER, { memory: { limit: 48 * MIB }, pids: { limit: 10 } });
  await using b = await start(SLEEPER, { memory: { limit: 64 * MIB }, pids: { limit: 20 } });
  const limits = [a, b].map(async (box) => {
    const { memory, pids } = await box.stats();
    return [memory?.limitBytes, pids?.limit];
  });
  expect(await Promise.all(limits)).toEqual([
    [BigInt(48 * MIB), 10n],
    [BigInt(64 * MIB), 20n],
  ]);
  expect(await a.sh('ls -d /sys/fs/cgroup/tskata 2>/dev/null; grep ^0:: /proc/1/cgroup')).toBe('0::/\n');
});

describe('a container with a cgroup tree that it may write', () => {
  const mounts = [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs' },
    { destination: '/sys', type: 'sysfs', source: 'sysfs' },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['rw', 'nosuid', 'nodev', 'noexec'] },
  ];
  /** As a service manager begins: its processes into a cgroup of their own, then the controllers to those below. */
  const MANAGER = `cd /sys/fs/cgroup; mkdir init.scope service; echo $$ > init.scope/cgroup.procs
    echo '+memory +pids +cpu' > cgroup.subtree_control && echo ready; ${SLEEPER}`;

  test('limits its own cgroups, below its limits', async () => {
    await using box = await start(MANAGER, { memory: { limit: 48 * MIB, swap: 48 * MIB } }, { mounts });
    await box.printed('ready');
    const service = (line: string) =>
      box.sh(`cd /sys/fs/cgroup/service; sh -c 'echo $$ > cgroup.procs; exec ${line}'; echo ended with $?`);
    await box.sh(`echo ${16 * MIB} > /sys/fs/cgroup/service/memory.max`);
    expect(await service(eat(8))).toBe('ended with 0\n');
    expect(await service(eat(32))).toBe('ended with 137\n');
    // More than the container has is not to be had, whatever is written there.
    await box.sh('echo max > /sys/fs/cgroup/service/memory.max');
    expect(await service(eat(64))).toBe('ended with 137\n');
    expect((await box.stats()).memory?.oomKills).toBe(2n);
  });

  test('cannot change its own limits, nor thaw itself', async () => {
    await using box = await start(MANAGER, { memory: { limit: 48 * MIB }, pids: { limit: 30 } }, { mounts });
    const write = (file: string, value: string) =>
      box.sh(`(echo ${value} > /sys/fs/cgroup/${file}) 2>/dev/null || echo denied; cat /sys/fs/cgroup/${file}`);
    expect(await write('memory.max', 'max')).toBe(`denied\n${48 * MIB}\n`);
    expect(await write('pids.max', 'max')).toBe('denied\n30\n');
    expect(await write('cgroup.max.depth', 'max')).toBe('denied\n32\n');
    expect(await write('cgroup.freeze', '1')).toBe('denied\n0\n');
  });

  test('cannot make more cgroups than there may be', async () => {
    const few = { unified: { 'cgroup.max.descendants': '7' } };
    await using box = await start(MANAGER, few, { mounts });
    await box.printed('ready');
    const made = await box.sh(
      'cd /sys/fs/cgroup/service; for i in 1 2 3 4 5 6 7 8 9; do mkdir $i 2>/dev/null && echo $i; done',
    );
    expect(made).toBe('1\n2\n3\n4\n5\n');
  });
});

test('a frozen container is killed, and goes', async () => {
  const box = await start('while true; do :; done', { cpu: { quota: 10000, period: 100000 } });
  await guest.agent.call('PauseContainer', { containerId: box.id });
  const usage = async () => (await box.stats()).cpu?.usageUs;
  const before = await usage();
  expect(await usage()).toBe(before);
  await box[Symbol.asyncDispose]();
  await expect(box.stats()).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('a guest that has run out of memory as a whole is told of, and its agent lives', async () => {
  const seen = upTo(guest.agent.events(''), ({ kind }) => kind?.$case === 'guestOutOfMemory');
  const eaters = Array.from({ length: 4 }, () => `${eat(Math.floor(MEMORY_MIB / 3))} &`).join(' ');
  await using box = await start(`while true; do ${eaters} wait; done`);
  await seen;
  const { memory } = await box.stats();
  expect(memory?.limitBytes).toBeUndefined();
  expect(memory?.oomKills).toBeGreaterThan(0n);
});
