// Namespaces of containers: new ones for users, clocks and networks, and those that containers share.
import { execFileSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { nodeTimers, socketStream } from '../../src/agent-client/socket-stream.ts';
import { agentService } from '../../src/protocol/agent-service.ts';
import { TtrpcClient } from '../../src/protocol/client.ts';
import { type ConfigParts, collect, config, type Outcome, stdioRequest, TestAgent, uniqueId } from './harness.ts';

const FIRST_ID = 100_000;
const MAPPING = [{ containerID: 0, hostID: FIRST_ID, size: 65_536 }];
const MAPPINGS = { uidMappings: MAPPING, gidMappings: MAPPING };
const ALL_CAPABILITIES = ['CAP_CHOWN', 'CAP_SETUID', 'CAP_SETGID', 'CAP_KILL', 'CAP_SYS_ADMIN', 'CAP_NET_ADMIN'];
const CAPABILITIES = { bounding: ALL_CAPABILITIES, effective: ALL_CAPABILITIES, permitted: ALL_CAPABILITIES };

let agent: TestAgent;
/** Containers that a test leaves behind. */
const left: string[] = [];

beforeAll(async () => {
  agent = await TestAgent.start();
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});
afterEach(async () => {
  for (const containerId of left.splice(0).toReversed()) {
    await agent.call('DeleteContainer', { containerId, force: true });
  }
});

interface NamespaceEntry {
  readonly type: string;
  readonly path?: string;
}

/** What `kinds` of namespaces are for a container of its own, with some of them exchanged. */
function namespaces(...entries: NamespaceEntry[]): NamespaceEntry[] {
  const own = ['pid', 'ipc', 'uts', 'mount', 'cgroup'].filter((type) => !entries.some((entry) => entry.type === type));
  return [...own.map((type) => ({ type })), ...entries];
}

/** A container with a user namespace of its own and this script. */
function mapped(script: string, more: ConfigParts = {}) {
  return config(['sh', '-c', script], {
    ...more,
    linux: { namespaces: namespaces({ type: 'user' }, { type: 'network' }), ...MAPPINGS, ...more.linux },
  });
}

function mappedRootfs(): string {
  const rootfs = agent.makeRootfs();
  execFileSync('chown', ['-hR', `${FIRST_ID}:${FIRST_ID}`, rootfs]);
  return rootfs;
}

/** A container that waits. @returns its id and the pid of its init */
async function pause(more: ConfigParts = {}, rootfs = agent.makeRootfs()): Promise<{ id: string; pid: number }> {
  const id = uniqueId();
  const stdio = stdioRequest({ stdout: false, stderr: false });
  const { pid } = await agent.create(id, config(['sleep', '1000'], more), stdio, rootfs);
  left.push(id);
  await agent.call('StartContainer', { containerId: id });
  return { id, pid };
}

/** Runs a script in a container that is there. */
async function exec(containerId: string, script: string, process: object = {}): Promise<Outcome> {
  const stdio = stdioRequest();
  const processId = uniqueId();
  const object = { args: ['sh', '-c', script], cwd: '/', env: ['PATH=/bin:/sbin'], ...process };
  const request = { containerId, processId, ociProcessJson: JSON.stringify(object), stdio, ignorePaused: false };
  await agent.call('ExecProcess', request);
  const streams = await Promise.all([agent.stream(stdio, 'stdout'), agent.stream(stdio, 'stderr')]);
  const [stdout = '', stderr = ''] = (await Promise.all(streams.map(collect))).map(String);
  const { exitStatus, signal } = await agent.call('WaitProcess', { containerId, processId });
  return { stdout, stderr, exitStatus, signal };
}

/** The agent itself, in this machine's pids. */
function agentPid(): number {
  return Number(readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, 'utf8').trim());
}

/** Runs a program where the agent is. */
function inGuest(...command: string[]): string {
  return execFileSync('nsenter', ['-t', String(agentPid()), '-m', '-p', '--', ...command], { encoding: 'utf8' });
}

/** Open files and children of the agent: what a call must not leave behind. */
function holdings(): { files: number; children: string; cgroups: string[] } {
  const pid = agentPid();
  return {
    files: readdirSync(`/proc/${pid}/fd`).length,
    children: readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'),
    cgroups: readdirSync(`/proc/${pid}/root/sys/fs/cgroup/tskata`).filter((name) =>
      name.startsWith(`test-${process.pid}-`),
    ),
  };
}

describe('a user namespace', () => {
  test('makes its root somebody else outside, with all that belongs to a container', async () => {
    const script = `id -u; id -g; head -1 /proc/self/uid_map; cat /proc/self/setgroups; hostname; echo $$
      touch /made; stat -c '%u %g' /made /dev/pts/ptmx; mount | grep -c -E ' on /(proc|dev/mqueue|dev/pts|dev/shm) '; ls /sys/class/net`;
    const rootfs = mappedRootfs();

    const { stdout, stderr } = await agent.run(mapped(script), rootfs);

    expect(stderr).toBe('');
    const [uid, gid, map = '', ...rest] = stdout.trimEnd().split('\n');
    expect([uid, gid, map.trim().split(/ +/)]).toEqual(['0', '0', ['0', String(FIRST_ID), '65536']]);
    expect(rest).toEqual(['allow', 'box', '1', '0 0', '0 0', '4', 'lo']);
    expect(lstatSync(join(rootfs, 'made'))).toMatchObject({ uid: FIRST_ID, gid: FIRST_ID });
  });

  test('may have its root file system where its root cannot go', async () => {
    const rootfs = mappedRootfs();
    expect(lstatSync(dirname(rootfs)).mode & 0o077).toBe(0);
    expect(await agent.run(mapped('test -e /bin/sh'), rootfs)).toMatchObject({ exitStatus: 0, stderr: '' });
  });

  test('owns the other new namespaces', async () => {
    const linux = { namespaces: namespaces({ type: 'user' }, { type: 'network' }), ...MAPPINGS };
    const { pid } = await pause({ linux }, mappedRootfs());
    const owner = inGuest('readlink', `/proc/${pid}/ns/user`).trim();
    const owners = ['pid', 'ipc', 'uts', 'mnt', 'net', 'cgroup'].map((name) => {
      const namespace = inGuest('readlink', `/proc/${pid}/ns/${name}`).replaceAll(/\D/g, '');
      return `user:[${inGuest('lsns', '-n', '-o', 'ONS', namespace.trim()).trim()}]`;
    });
    expect(owners).toEqual(Array.from({ length: 6 }, () => owner));
  });

  test('gives capabilities over itself and none over the guest', async () => {
    const script =
      'hostname other && hostname; mknod /dev/x c 1 3; echo 1 > /proc/sys/kernel/panic; dd if=/dev/null of=/dev/null 2>/dev/null && echo devices';
    const { stdout, stderr } = await agent.run(
      mapped(script, { process: { capabilities: CAPABILITIES } }),
      mappedRootfs(),
    );
    expect(stdout).toBe('other\ndevices\n');
    expect(stderr).not.toBe('');
  });

  test('has users with groups of their own, who own their streams', async () => {
    const user = { uid: 1000, gid: 1000, additionalGids: [7, 2000] };
    const { stdout } = await agent.run(
      mapped('id; echo again > /dev/stdout; stat -Lc %u:%g /dev/stdout', { process: { user } }),
      mappedRootfs(),
    );
    expect(stdout).toBe('uid=1000(user) gid=1000 groups=7,2000\nagain\n1000:0\n');
  });

  test('limits as the configuration says, set by who may', async () => {
    const rlimits = [{ type: 'RLIMIT_NOFILE', soft: 100, hard: 2000 }];
    const script = 'ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj';
    const { stdout } = await agent.run(mapped(script, { process: { rlimits, oomScoreAdj: 300 } }), mappedRootfs());
    expect(stdout).toBe('100\n2000\n300\n');
  });

  test('has a terminal that its user owns', async () => {
    const id = uniqueId();
    const stdio = stdioRequest({ terminal: true });
    const document = mapped("tty; stat -c '%u' $(tty); echo to > /dev/console; exit 3", {
      process: { terminal: true, user: { uid: 1000, gid: 1000 } },
    });

    await agent.create(id, document, stdio, mappedRootfs());
    left.push(id);
    const stream = await agent.stream(stdio, 'terminal');
    await agent.call('StartContainer', { containerId: id });
    const output = await collect(stream);

    expect(output.toString()).toBe('/dev/pts/0\r\n1000\r\nto\r\n');
    expect(await agent.call('WaitProcess', { containerId: id, processId: '' })).toMatchObject({ exitStatus: 3 });
  });

  test('takes as many mappings as the kernel does', async () => {
    const many = Array.from({ length: 300 }, (_, index) => ({ containerID: index, hostID: 9000 + 2 * index, size: 1 }));
    const { stdout } = await agent.run(
      mapped('wc -l < /proc/self/uid_map', { linux: { uidMappings: many, gidMappings: many } }),
      agent.makeRootfs(),
    );
    expect(stdout).toBe('300\n');
  });

  const range = (containerID: number, hostID: number, size = 10) => ({ containerID, hostID, size });
  test.each([
    ['overlap inside', [range(0, 1000), range(5, 2000)]],
    ['overlap outside', [range(0, 1000), range(20, 1005)]],
    ['are more than 340', Array.from({ length: 341 }, (_, index) => range(index, index, 1))],
    ['reach beyond the last id', [range(0, 2 ** 32 - 5)]],
  ])('is refused with mappings that %s, and leaves nothing', async (_what, gidMappings) => {
    const before = holdings();
    const created = agent.create(uniqueId(), mapped('true', { linux: { gidMappings } }));
    await expect(created).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('the kernel refuses linux.gidMappings'),
    });
    expect(holdings()).toEqual(before);
  });

  test.each([
    [{ uid: 70_000, gid: 0 }, 'cannot set uid to unmapped user in user namespace'],
    [{ uid: 0, gid: 70_000 }, 'cannot set gid to unmapped user in user namespace'],
  ])('has no user %j, as runc says', async (user, message) => {
    const created = agent.create(uniqueId(), mapped('true', { process: { user } }), stdioRequest(), mappedRootfs());
    await expect(created).rejects.toMatchObject({ message });
  });

  test('is where later processes go, with their users, streams and limits', async () => {
    const { id } = await pause({ linux: mapped('').linux }, mappedRootfs());
    const rlimits = [{ type: 'RLIMIT_NOFILE', soft: 64, hard: 900 }];

    const root = await exec(id, 'id -u; head -1 /proc/self/uid_map; hostname new && hostname', {
      capabilities: CAPABILITIES,
    });
    const user = await exec(id, 'id -u; echo x > /dev/stderr; ulimit -Hn', { user: { uid: 1000, gid: 1000 }, rlimits });

    expect(root.stdout.replaceAll(/ +/g, ' ')).toBe(`0\n 0 ${FIRST_ID} 65536\nnew\n`);
    expect(user).toMatchObject({ stdout: '1000\n900\n', stderr: 'x\n' });
  });

  test('does not let its root look into a process that the agent makes', async () => {
    const a = await pause({ linux: mapped('').linux }, mappedRootfs());
    const shared = ['user', 'pid'].map((type) => ({ type, path: `/proc/${a.pid}/ns/${type}` }));
    const linux = { namespaces: namespaces(...shared, { type: 'network' }) };
    const b = uniqueId();
    // It has been created, not started: the copy of the agent waits.
    const { pid } = await agent.create(b, config(['true'], { linux }), stdioRequest(), mappedRootfs());
    left.push(b);
    const inside = inGuest('grep', 'NSpid', `/proc/${pid}/status`).trim().split(/\s+/).at(-1);

    const script = `cd /proc/${inside} && id -u && cat maps environ; ls fd; readlink exe root cwd; echo > mem; grep Name status`;
    const capabilities = [...ALL_CAPABILITIES, 'CAP_SYS_PTRACE', 'CAP_DAC_OVERRIDE'];
    const { stdout } = await exec(a.id, script, {
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
    });

    expect(stdout).toBe('0\nName:\tagent\n');
  });
});

describe('a time namespace', () => {
  const timeOffsets = { monotonic: { secs: 500_000 }, boottime: { secs: 864_000, nanosecs: 5 } };
  const linux = { namespaces: namespaces({ type: 'time' }), timeOffsets };
  const DAYS_10 = 'test $(cut -d. -f1 /proc/uptime) -gt 864000 && cat /proc/self/timens_offsets';
  const OFFSETS = ['monotonic 500000 0', 'boottime 864000 5'];
  const words = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => line.replaceAll(/ +/g, ' '));

  test('has clocks of its own, from the first moment', async () => {
    const { stdout } = await agent.shell(DAYS_10, { linux });
    expect(words(stdout)).toEqual(OFFSETS);
  });

  test('is where later processes go', async () => {
    const { id } = await pause({ linux });
    expect(words((await exec(id, DAYS_10)).stdout)).toEqual(OFFSETS);
  });

  test('goes with a user namespace', async () => {
    const { namespaces: kinds } = linux;
    const parts = { linux: { namespaces: [...kinds, { type: 'user' }], timeOffsets } };
    expect(words((await agent.run(mapped(DAYS_10, parts), mappedRootfs())).stdout)).toEqual(OFFSETS);
  });

  test('is joined with its offsets', async () => {
    const { pid } = await pause({ linux });
    const { stdout } = await agent.shell(DAYS_10, {
      linux: { namespaces: namespaces({ type: 'time', path: `/proc/${pid}/ns/time` }) },
    });
    expect(words(stdout)).toEqual(OFFSETS);
  });

  test('cannot begin before the world did', async () => {
    const before = holdings();
    const created = agent.create(
      uniqueId(),
      config(['true'], { linux: { ...linux, timeOffsets: { boottime: { secs: -(10 ** 9) } } } }),
    );
    await expect(created).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('the kernel refuses linux.timeOffsets'),
    });
    expect(holdings()).toEqual(before);
  });
});

describe('a network namespace', () => {
  test('is new and has a loopback that is up', async () => {
    const { stdout } = await agent.shell(
      'ls /sys/class/net; cat /sys/class/net/lo/flags; cat /proc/sys/net/ipv4/ip_forward',
      {
        linux: { namespaces: namespaces({ type: 'network' }), sysctl: { 'net.ipv4.ip_forward': '1' } },
      },
    );
    expect(stdout).toBe('lo\n0x9\n1\n');
    expect(inGuest('cat', '/proc/sys/net/ipv4/ip_forward')).toBe('0\n');
  });

  test("is the machine's where none is asked for", async () => {
    const { pid } = await pause({ linux: { namespaces: namespaces() } });
    expect(inGuest('readlink', `/proc/${pid}/ns/net`)).toBe(inGuest('readlink', '/proc/1/ns/net'));
  });
});

describe('a namespace by path', () => {
  test.each([
    ['ipc', 'ipc'],
    ['uts', 'uts'],
    ['network', 'net'],
    ['cgroup', 'cgroup'],
    ['pid', 'pid'],
    ['time', 'time'],
  ])('of the kind %s is the one that is there', async (type, name) => {
    const { pid } = await pause({ linux: { namespaces: namespaces({ type: 'network' }, { type: 'time' }) } });
    const path = `/proc/${pid}/ns/${name}`;
    const joined = await pause({ hostname: '', linux: { namespaces: namespaces({ type, path }) } });
    expect(inGuest('readlink', `/proc/${joined.pid}/ns/${name}`)).toBe(inGuest('readlink', path));
  });

  test('of users and all else is joined, with new ones that it owns', async () => {
    const owner = await pause({ linux: mapped('').linux }, mappedRootfs());
    const at = (name: string) => `/proc/${owner.pid}/ns/${name}`;
    const shared = [
      { type: 'user', path: at('user') },
      { type: 'network', path: at('net') },
      { type: 'ipc', path: at('ipc') },
      { type: 'uts', path: at('uts') },
    ];
    const script =
      'id -u; head -1 /proc/self/uid_map; echo $$; mount | grep -c -E " on /(proc|sys|dev/mqueue|dev/pts) "; ls /sys/class/net; hostname there; hostname';

    const { stdout, stderr } = await agent.run(
      config(['sh', '-c', script], {
        hostname: '',
        process: { capabilities: CAPABILITIES },
        linux: { namespaces: namespaces(...shared) },
      }),
      mappedRootfs(),
    );

    expect(stderr).toBe('');
    expect(stdout.replaceAll(/ +/g, ' ')).toBe(`0\n 0 ${FIRST_ID} 65536\n1\n4\nlo\nthere\n`);
    expect((await exec(owner.id, 'hostname')).stdout).toBe('there\n');
  });

  test('may be of the guest beside a new one for users', async () => {
    const owner = await pause({ linux: { namespaces: namespaces({ type: 'network' }) } });
    const shared = ['ipc', 'uts', 'pid'].map((type) => ({ type, path: `/proc/${owner.pid}/ns/${type}` }));
    const parts = {
      hostname: '',
      mounts: [],
      linux: { namespaces: [...shared, { type: 'mount' }, { type: 'user' }], maskedPaths: [], readonlyPaths: [] },
    };
    const { stdout } = await agent.run(mapped('hostname; id -u', parts), mappedRootfs());
    expect(stdout).toBe('box\n0\n');
  });

  test('of users may come with its mappings, if they are true', async () => {
    const owner = await pause({ linux: mapped('').linux }, mappedRootfs());
    const user = { type: 'user', path: `/proc/${owner.pid}/ns/user` };
    const network = { type: 'network', path: `/proc/${owner.pid}/ns/net` };
    const linux = { namespaces: namespaces(user, network), ...MAPPINGS };
    const wrong = [{ containerID: 0, hostID: 5, size: 65_536 }];

    const right = await agent.run(config(['id', '-u'], { linux }), mappedRootfs());
    const created = agent.create(uniqueId(), config(['true'], { linux: { ...linux, uidMappings: wrong } }));

    expect(right.stdout).toBe('0\n');
    await expect(created).rejects.toMatchObject({
      message: expect.stringContaining('linux.uidMappings is not what the user namespace to join has'),
    });
  });

  test('may be bound to a file, and outlive its processes', async () => {
    const { id, pid } = await pause();
    inGuest(
      'sh',
      '-c',
      `mount -t tmpfs none /run && mkdir -p /run/tskata && touch /run/tskata/uts && mount --bind /proc/${pid}/ns/uts /run/tskata/uts`,
    );
    await agent.call('DeleteContainer', { containerId: left.splice(left.indexOf(id), 1)[0] ?? '', force: true });

    const { stdout } = await agent.shell('hostname', {
      hostname: '',
      linux: { namespaces: namespaces({ type: 'uts', path: '/run/tskata/uts' }) },
    });
    inGuest('umount', '-R', '/run');

    expect(stdout).toBe('box\n');
  });

  test.each([
    ['/proc/self/ns/uts', 'cannot be joined: give /proc/PID/ns/NAME'],
    ['/etc/passwd', 'cannot be joined'],
    ['ns/uts', 'cannot be joined'],
    ['/proc/1/ns/../ns/uts', 'cannot be joined'],
    ['/proc/1/ns/net', 'is a namespace of another kind'],
    ['/proc/4000000/ns/uts', 'is not there: its process has ended'],
    ['/run/tskata/missing', 'cannot be opened'],
    ['/run/tskata/file', 'is no namespace'],
    ['/run/tskata/fifo', 'is no namespace'],
    ['/run/tskata/folder', 'is no namespace'],
    ['/run/tskata/link', 'cannot be opened'],
    ['/run/tskata/folder-link/uts', 'cannot be opened'],
    ['/run/tskata/../../proc/self/ns/uts', 'cannot be opened'],
  ])('%s is refused: it %s', async (path, problem) => {
    inGuest(
      'sh',
      '-c',
      'mount -t tmpfs none /run && mkdir -p /run/tskata/folder && cd /run/tskata && touch file && mkfifo fifo && ln -s /proc/1/ns/uts link && ln -s /proc/1/ns folder-link',
    );
    const before = holdings();
    const created = agent.create(
      uniqueId(),
      config(['true'], { hostname: '', linux: { namespaces: namespaces({ type: 'uts', path }) } }),
    );
    await expect(created).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining(`the uts namespace ${path} ${problem}`),
    });
    inGuest('umount', '-R', '/run');
    expect(holdings()).toEqual(before);
  });

  test('leaves nothing when another one of its container cannot be joined', async () => {
    const before = holdings();
    const kinds = namespaces({ type: 'uts', path: '/proc/1/ns/uts' }, { type: 'user', path: '/proc/1/ns/user' });
    const created = agent.create(uniqueId(), config(['true'], { linux: { namespaces: kinds } }));
    await expect(created).rejects.toMatchObject({
      message: 'cannot join namespaces: setns user namespace /proc/1/ns/user: invalid argument',
    });
    expect(holdings()).toEqual(before);
  });
});

describe('a pod', () => {
  /** A container that owns what the others join. */
  async function owner(script = 'trap "exit 0" TERM; while :; do sleep 1000 & wait $!; done') {
    const id = uniqueId();
    const { pid } = await agent.create(
      id,
      config(['sh', '-c', script], { hostname: 'pod', linux: { namespaces: namespaces({ type: 'network' }) } }),
      stdioRequest({ stdout: false, stderr: false }),
    );
    left.push(id);
    await agent.call('StartContainer', { containerId: id });
    return { id, pid };
  }

  function member(pid: number): ConfigParts {
    const shared = [
      ['pid', 'pid'],
      ['ipc', 'ipc'],
      ['uts', 'uts'],
      ['network', 'net'],
    ].map(([type = '', name]) => ({ type, path: `/proc/${pid}/ns/${name}` }));
    return { hostname: '', linux: { namespaces: namespaces(...shared) } };
  }

  test('has one hostname, one network, one set of queues and one list of processes', async () => {
    const a = await owner();
    const b = await pause(member(a.pid));
    const c = await pause(member(a.pid));

    await exec(b.id, 'touch /dev/mqueue/letters');
    const { stdout } = await exec(
      c.id,
      'hostname; ls /dev/mqueue; ls /sys/class/net; ps -o args | grep -c "^sleep 1000"; ps -o pid | grep -c "^ *1$"',
    );

    expect(stdout).toBe('pod\nletters\nlo\n3\n1\n');
  });

  test('sends signals across its containers', async () => {
    const a = await owner();
    const b = await pause(member(a.pid));
    const c = await pause(member(a.pid));
    // In the namespace that they share the init of B is the one process with B's root.
    const victim = inGuest('grep', 'NSpid', `/proc/${b.pid}/status`).trim().split(/\s+/).at(-1);

    await exec(c.id, `kill -KILL ${victim}`, { capabilities: CAPABILITIES });

    expect(await agent.call('WaitProcess', { containerId: b.id, processId: '' })).toMatchObject({ signal: 9 });
  });

  test('goes on when one of its containers ends, with all its processes', async () => {
    const a = await owner();
    const b = uniqueId();
    const script = 'sleep 2000 & sleep 2000 & exit 5';
    await agent.create(b, config(['sh', '-c', script], member(a.pid)), stdioRequest({ stdout: false, stderr: false }));
    left.push(b);
    const c = await pause(member(a.pid));

    await agent.call('StartContainer', { containerId: b });
    const ending = await agent.call('WaitProcess', { containerId: b, processId: '' });
    await agent.call('DeleteContainer', { containerId: left.splice(left.indexOf(b), 1)[0] ?? '', force: false });
    const { stdout } = await exec(c.id, 'ps -o args | grep -c "^sleep 2000"; ps -o args | grep -c "^sleep 1000"');

    expect(ending).toMatchObject({ exitStatus: 5, signal: 0 });
    expect(stdout).toBe('0\n2\n');
    expect((await exec(a.id, 'echo here')).stdout).toBe('here\n');
  });

  test('ends with the first process of its pid namespace, and takes no more', async () => {
    const a = await owner('sleep 1000 & wait');
    const b = await pause(member(a.pid));
    // Keeps the namespace's name when its first process has ended.
    inGuest(
      'sh',
      '-c',
      `mount -t tmpfs none /run && mkdir -p /run/tskata && touch /run/tskata/pid && mount --bind /proc/${a.pid}/ns/pid /run/tskata/pid`,
    );

    await agent.call('SignalProcess', { containerId: a.id, processId: '', signal: 9, all: false });
    const endings = [a, b].map(({ id }) => agent.call('WaitProcess', { containerId: id, processId: '' }));
    const late = agent.create(
      uniqueId(),
      config(['true'], { linux: { namespaces: namespaces({ type: 'pid', path: '/run/tskata/pid' }) } }),
    );
    // Expected from the start: which of the answers comes first is open.
    const refused = expect(late).rejects.toMatchObject({
      message:
        'cannot join namespaces: the first process of the pid namespace /run/tskata/pid has ended, and the namespace with it',
    });

    expect(await Promise.all(endings)).toEqual([
      expect.objectContaining({ signal: 9 }),
      expect.objectContaining({ signal: 9 }),
    ]);
    await refused;
    inGuest('umount', '-R', '/run');
    const gone = exec(b.id, 'true');
    await expect(gone).rejects.toMatchObject({ message: 'container not running' });
  });
});

describe('a process that dies on its way', () => {
  /** Kills whoever else comes into its pid namespace, the sooner the better. */
  const KILLER = 'n=0; while [ $n -lt 3000 ]; do n=$((n+1)); kill -9 -1 2>/dev/null; done';

  test('into a container leaves nothing', async () => {
    const { id } = await pause();
    await exec(id, 'true');
    const before = holdings();

    const killer = exec(id, KILLER, { capabilities: CAPABILITIES });
    await Promise.allSettled(Array.from({ length: 20 }, () => exec(id, 'true')));
    await killer;

    expect(holdings()).toEqual(before);
  });

  test('into a pod leaves nothing', async () => {
    const { id, pid } = await pause();
    await exec(id, 'true');
    const before = holdings();
    const linux = { namespaces: namespaces({ type: 'pid', path: `/proc/${pid}/ns/pid` }) };
    const members = Array.from({ length: 20 }, uniqueId);

    const killer = exec(id, KILLER, { capabilities: CAPABILITIES });
    await Promise.allSettled(members.map((member) => agent.create(member, config(['true'], { linux }))));
    await Promise.allSettled(members.map((containerId) => agent.call('DeleteContainer', { containerId, force: true })));
    await killer;

    expect(holdings()).toEqual(before);
  });

  test('whose caller has gone is still there to be deleted, and then leaves nothing', async () => {
    const before = holdings();
    const containerId = uniqueId();
    const socket = await agent.connect('agent.sock');
    const client = new TtrpcClient(socketStream(socket), nodeTimers);
    const request = {
      containerId,
      ociConfigJson: JSON.stringify(mapped('true')),
      rootfsPath: mappedRootfs(),
      stdio: stdioRequest(),
      seccomp: undefined,
      bundle: '',
    };

    const created = client.call(agentService, 'CreateContainer', request, {});
    socket.destroySoon();
    await expect(created).rejects.toThrow();
    await vi.waitFor(() => agent.call('DeleteContainer', { containerId, force: false }));

    await vi.waitFor(() => expect(holdings()).toEqual(before));
  });

  test('is told of, if it was to become the first', async () => {
    const before = holdings();
    const created = agent.create(uniqueId(), mapped('true'), stdioRequest(), join(agent.directory, 'missing'));
    await expect(created).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(holdings()).toEqual(before);
  });
});
