// Mounts of config.json: their options, types and order, id-mapped mounts, propagation, and where no mount may be.
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ConfigParts, collect, config, stdioRequest, TestAgent, uniqueId } from './harness.ts';

const FIRST_ID = 100_000;
const MAPPING = [{ containerID: 0, hostID: FIRST_ID, size: 65_536 }];
const NAMESPACES = ['pid', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type }));
/** A user namespace, and so other owners of everything. */
const MAPPED = { namespaces: [...NAMESPACES, { type: 'user' }], uidMappings: MAPPING, gidMappings: MAPPING };

let agent: TestAgent;
beforeAll(async () => {
  agent = await TestAgent.start();
  // Who is mapped elsewhere must be able to pass.
  chmodSync(agent.directory, 0o711);
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});

interface MountEntry {
  readonly destination: string;
  readonly type?: string;
  readonly source?: string;
  readonly options?: readonly string[];
  readonly [field: string]: unknown;
}

const base = config([]).mounts;

/** Adds mounts to what every container has. */
function withMounts(...mounts: readonly MountEntry[]) {
  return { mounts: [...base, ...mounts] };
}

function bindOf(source: string, destination: string, ...options: readonly string[]): MountEntry {
  return { destination, type: 'bind', source, options: ['bind', ...options] };
}

/** Runs a script. @returns the lines that it printed, errors among them */
async function lines(script: string, more: ConfigParts = {}, rootfs = agent.makeRootfs()): Promise<string[]> {
  const { stdout } = await agent.run(config(['sh', '-c', `exec 2>&1; ${script}`], more), rootfs);
  return stdout.trimEnd().split('\n');
}

/** Options of a mount as its container's kernel shows them. */
async function optionsOf(path: string, ...mounts: readonly MountEntry[]): Promise<string[]> {
  const [line = ''] = await lines(`grep " ${path} " /proc/self/mountinfo`, withMounts(...mounts));
  const [mount = '', fileSystem = ''] = line.split(' - ');
  return [mount.split(' ')[5] ?? '', fileSystem.split(' ')[2] ?? ''];
}

/** What creation says that is not possible. */
async function refusal(more: ConfigParts, rootfs = agent.makeRootfs()): Promise<string> {
  try {
    await agent.create(uniqueId(), config(['true'], more), stdioRequest(), rootfs);
  } catch (error) {
    return `${(error as { code: string }).code}: ${(error as Error).message}`;
  }
  throw new Error('the container was made');
}

function folder(name: string): string {
  const path = join(agent.directory, `${name}-${uniqueId()}`);
  mkdirSync(path);
  return path;
}

/** A tmpfs among the agent's mounts. */
function guestTmpfs(name: string, options = 'mode=755'): string {
  const path = folder(name);
  agent.runInside('mount', '-t', 'tmpfs', '-o', options, 'tmpfs', path);
  return path;
}

/** A container that waits until it is deleted. */
async function pause(more: ConfigParts, rootfs = agent.makeRootfs()): Promise<string> {
  const id = uniqueId();
  await agent.create(id, config(['sleep', '1000'], more), stdioRequest({ stdout: false, stderr: false }), rootfs);
  await agent.call('StartContainer', { containerId: id });
  return id;
}

async function exec(containerId: string, script: string): Promise<string> {
  const stdio = stdioRequest();
  const ociProcessJson = JSON.stringify({ ...config(['sh', '-c', `exec 2>&1; ${script}`]).process });
  await agent.call('ExecProcess', { containerId, processId: uniqueId(), ociProcessJson, stdio, ignorePaused: false });
  return String(await collect(await agent.stream(stdio, 'stdout')));
}

describe('options', () => {
  test.each([
    [['noatime', 'nodiratime', 'nosymfollow'], 'rw,noatime,nodiratime,nosymfollow'],
    [['strictatime', 'nosuid', 'nodev', 'noexec'], 'rw,nosuid,nodev,noexec'],
    [['ro', 'noexec', 'exec', 'relatime'], 'ro,relatime'],
    [['defaults'], 'rw,relatime'],
  ])('%j of a tmpfs are %s', async (options, expected) => {
    const [mount] = await optionsOf('/t', { destination: '/t', type: 'tmpfs', source: 'tmpfs', options });

    expect(mount).toBe(expected);
  });

  test('of the file system itself reach it, synchronous writing among them', async () => {
    const options = ['size=1m,nr_inodes=7', 'sync', 'dirsync', 'mpol=prefer:0'];

    const [, fileSystem] = await optionsOf('/t', { destination: '/t', type: 'tmpfs', source: 'tmpfs', options });

    expect(fileSystem).toBe('rw,sync,dirsync,size=1024k,nr_inodes=7,mode=755,mpol=prefer:0'.replace('mode=755,', ''));
  });

  test("that a file system does not know are refused with the kernel's words", async () => {
    const text = await refusal(withMounts({ destination: '/t', type: 'tmpfs', source: 't', options: ['sizee=1m'] }));

    expect(text).toMatch(/^FAILED_PRECONDITION: error mounting "t" to rootfs at "\/t": .*Unknown parameter 'sizee'/);
  });

  test('that a bind mount has no use for are told of', async () => {
    const document = config(['true'], withMounts(bindOf(folder('source'), '/data', 'size=1m')));
    const containerId = uniqueId();

    const { warnings } = await agent.create(containerId, document, stdioRequest());
    await agent.call('DeleteContainer', { containerId, force: true });

    expect(warnings).toEqual([`mounts[${base.length}].options: size=1m has no effect on a bind mount`]);
  });

  test('of a bind mount leave what its source has, unless they say otherwise', async () => {
    const source = guestTmpfs('flags', 'nosuid,nodev,noexec,noatime,mode=755');

    const kept = await optionsOf('/data', bindOf(source, '/data', 'ro'));
    const plain = await optionsOf('/data', bindOf(source, '/data'));
    const changed = await optionsOf('/data', bindOf(source, '/data', 'exec', 'suid', 'relatime'));

    expect([kept[0], plain[0], changed[0]]).toEqual([
      'ro,nosuid,nodev,noexec,noatime',
      'rw,nosuid,nodev,noexec,noatime',
      'rw,nodev,relatime',
    ]);
  });

  test.each([
    [['rro'], ['ro,relatime', 'ro,relatime']],
    [['ro'], ['ro,relatime', 'rw,relatime']],
    [
      ['rnosuid', 'rnodev', 'rnoexec'],
      ['rw,nosuid,nodev,noexec,relatime', 'rw,nosuid,nodev,noexec,relatime'],
    ],
    [
      ['rnoatime', 'rnodiratime'],
      ['rw,noatime,nodiratime', 'rw,noatime,nodiratime'],
    ],
    [
      ['rro', 'rrw', 'rstrictatime'],
      ['rw', 'rw'],
    ],
    [['rnosymfollow'], ['rw,relatime,nosymfollow', 'rw,relatime,nosymfollow']],
    [
      ['noexec', 'ratime'],
      ['rw,noexec,relatime', 'rw,relatime'],
    ],
  ])('rbind with %j gives %j', async (options, expected) => {
    const source = guestTmpfs('recursive');
    mkdirSync(agent.pathInside(join(source, 'sub')));
    agent.runInside('mount', '-t', 'tmpfs', 'tmpfs', join(source, 'sub'));
    const mount = { destination: '/data', type: 'none', source, options: ['rbind', ...options] };

    const found = await lines('grep " /data" /proc/self/mountinfo', withMounts(mount));

    expect(found.map((line) => line.split(' ')[5])).toEqual(expected);
  });

  test('remount changes what is mounted already, with bind the mount alone', async () => {
    const more = withMounts(
      { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['remount', 'nosuid', 'size=1m'] },
      { destination: '/dev/mqueue', type: 'bind', source: '/dev', options: ['remount', 'bind', 'ro'] },
    );

    const found = await lines('grep -E " /dev/(shm|mqueue) " /proc/self/mountinfo', more);

    expect(found.map((line) => line.split(' ')[5])).toEqual(['rw,nosuid,relatime', 'ro,nosuid,nodev,noexec,relatime']);
    expect(found[0]).toContain('size=1024k');
  });
});

describe('types', () => {
  test('must be named, but for bind mounts', async () => {
    expect(await refusal(withMounts({ destination: '/x', source: 'x' }))).toMatch(
      /^INVALID_ARGUMENT: config.json: mounts\[7\].type is missing/,
    );
  });

  test('that the kernel has not are named', async () => {
    expect(await refusal(withMounts({ destination: '/x', type: 'moonfs', source: 'x' }))).toContain(
      'error mounting "x" to rootfs at "/x": mount moonfs, which is no file system of the guest\'s kernel: no such device',
    );
  });

  test('of proc take its options', async () => {
    const mounts = base.map((mount) =>
      mount.type === 'proc' ? { ...mount, options: ['subset=pid', 'hidepid=2'] } : mount,
    );

    const found = await lines('ls /proc | grep -v "^[0-9]"; grep -o "hidepid=[a-z]*" /proc/self/mounts', {
      mounts,
      linux: { maskedPaths: [], readonlyPaths: [] },
    });

    expect(found).toEqual(['self', 'thread-self', 'hidepid=invisible']);
  });

  test('of disks are mounted from a device of the guest', async () => {
    const image = join(agent.directory, 'disk.img');
    execFileSync('truncate', ['-s', '4M', image]);
    execFileSync('mkfs.ext4', ['-q', image]);
    const loop = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim();
    const mount = { destination: '/disk', type: 'ext4', source: loop, options: ['ro', 'noload'] };

    const found = await lines('ls /disk; touch /disk/x', {
      ...withMounts(mount),
      linux: { resources: { devices: [{ allow: true, access: 'rwm' }] } },
    }).finally(() => execFileSync('losetup', ['--detach', loop]));

    expect(found).toEqual(['lost+found', 'touch: /disk/x: Read-only file system']);
  });

  test('of cgroups show the own cgroup alone, without a namespace for cgroups too', async () => {
    const namespaces = NAMESPACES.filter(({ type }) => type !== 'cgroup');
    const script = 'cat /sys/fs/cgroup/cgroup.procs | wc -l; touch /sys/fs/cgroup/x';

    const found = await lines(script, { linux: { namespaces } });

    expect(Number(found[0])).toBeGreaterThan(0);
    expect(found[1]).toContain('Read-only file system');
  });

  test("of queues without a namespace for them are the guest's", async () => {
    const namespaces = NAMESPACES.filter(({ type }) => type !== 'ipc');

    expect(await lines('grep -c " /dev/mqueue mqueue" /proc/mounts', { linux: { namespaces } })).toEqual(['1']);
  });

  test("of sysfs in a user namespace without a network of its own are the guest's, read-only", async () => {
    const found = await lines(
      'ls -d /sys/class/net; touch /sys/kernel/x; grep -c "^sysfs /sys sysfs ro" /proc/mounts',
      {
        linux: { ...MAPPED },
      },
      mappedRootfs(),
    );

    expect(found).toEqual(['/sys/class/net', 'touch: /sys/kernel/x: Read-only file system', '1']);
  });
});

function mappedRootfs(): string {
  const rootfs = agent.makeRootfs();
  execFileSync('chown', ['-hR', `${FIRST_ID}:${FIRST_ID}`, rootfs]);
  return rootfs;
}

describe('places', () => {
  test('are made as their mounts need them, in the order of the list', async () => {
    const [file, directory] = [join(agent.directory, 'a-file'), folder('a-directory')];
    writeFileSync(file, 'f\n');
    const more = withMounts(
      { destination: '/new', type: 'tmpfs', source: 'tmpfs' },
      bindOf(directory, '/new/deep/directory'),
      bindOf(file, '/new/deep/directory/file'),
      { destination: '/new/./deep/directory//../other', type: 'tmpfs', source: 'tmpfs' },
    );

    const found = await lines('cat /new/deep/directory/file; stat -c "%F %a" /new /new/deep /new/deep/directory', more);

    expect(found).toEqual(['f', 'directory 1777', 'directory 755', 'directory 755']);
    expect(readdirSync(directory)).toEqual(['file']);
  });

  test('covered by a later mount are not seen', async () => {
    const first = folder('first');
    writeFileSync(join(first, 'hidden'), '');
    const more = withMounts(bindOf(first, '/data'), { destination: '/data', type: 'tmpfs', source: 'tmpfs' });

    expect(await lines('ls /data; echo end', more)).toEqual(['end']);
  });

  test.each([
    ['/proc/sys/kernel', 'cannot be mounted because it is inside /proc'],
    ['/proc/self/attr', 'cannot be mounted because it is inside /proc'],
    ['/proc', '"/proc" cannot be mounted because it is not of type proc'],
    ['/tmp/../proc', '"/proc" cannot be mounted because it is not of type proc'],
    ['/link/sys', 'cannot be mounted because it is inside /proc'],
    ['/', 'is on the top of rootfs'],
    ['/tmp/..', 'is on the top of rootfs'],
  ])('%s is refused to a bind mount', async (destination, words) => {
    const rootfs = agent.makeRootfs();
    symlinkSync('/proc', join(rootfs, 'link'));

    const text = await refusal(withMounts(bindOf(folder('evil'), destination)), rootfs);

    expect(text).toContain(words);
    expect(text).toContain(`to rootfs at "${destination}"`);
  });

  test('below /proc are for the files that others emulate, and /proc itself for another procfs', async () => {
    const file = join(agent.directory, 'uptime');
    writeFileSync(file, '1 2\n');
    const more = { mounts: [bindOf('/proc', '/proc'), ...base.slice(1), bindOf(file, '/proc/uptime')] };

    expect(await lines('cat /proc/uptime; grep -c " /proc proc" /proc/mounts', more)).toEqual(['1 2', '1']);
  });

  test('of a part of procfs are not /proc', async () => {
    expect(await refusal({ mounts: [bindOf('/proc/sys', '/proc')] })).toContain('not of type proc');
  });

  test.each(['proc', 'sysfs'])('of %s may be no link and no file', async (type) => {
    const rootfs = agent.makeRootfs();
    symlinkSync('/tmp', join(rootfs, 'link'));
    writeFileSync(join(rootfs, 'file'), '');
    const words = `filesystem "${type}" must be mounted on ordinary directory`;

    expect(await refusal({ mounts: [{ destination: '/link', type, source: type }] }, rootfs)).toContain(words);
    expect(await refusal({ mounts: [{ destination: '/link/x', type, source: type }] }, rootfs)).toContain(words);
    expect(await refusal({ mounts: [{ destination: '/file', type, source: type }] }, rootfs)).toContain(words);
  });

  test('and sources that do not fit are told of as in runc', async () => {
    const directory = folder('directory');

    expect(await refusal(withMounts(bindOf('/not/there', '/x')))).toMatch(
      /^NOT_FOUND: error mounting "\/not\/there" to rootfs at "\/x": .*no such file or directory$/,
    );
    expect(await refusal(withMounts(bindOf(directory, '/etc/passwd')))).toMatch(
      /to rootfs at "\/etc\/passwd": .*not a directory$/,
    );
    expect(await refusal(withMounts(bindOf('relative', '/x')))).toMatch(/^INVALID_ARGUMENT: .*absolute path/);
  });
});

describe('a neighbour that exchanges a directory and a link all the time', () => {
  /** Exchanges two names without a pause, until it is stopped. */
  const EXCHANGE = `
import ctypes, sys
libc = ctypes.CDLL(None)
a, b = (path.encode() for path in sys.argv[1:3])
print("ready", flush=True)
while True:
    libc.renameat2(-100, a, -100, b, 2)
`;
  const ATTEMPTS = 25;

  async function whileExchanging(a: string, b: string, action: () => Promise<void>): Promise<void> {
    const { spawn } = await import('node:child_process');
    const { once } = await import('node:events');
    const process = spawn('python3', ['-c', EXCHANGE, a, b], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await once(process.stdout, 'data');
      await action();
    } finally {
      process.kill('SIGKILL');
      await once(process, 'exit');
    }
  }

  test('makes nothing outside of the root, be it files, directories or mounts', async () => {
    const [volume, outside, source] = [folder('volume'), folder('outside'), folder('source')];
    writeFileSync(join(source, 'mark'), '');
    mkdirSync(join(outside, 'there'));
    mkdirSync(join(volume, 'a/there'), { recursive: true });
    // From within the container this leads to a place that is not there; from the guest's root it leads outside.
    symlinkSync(outside, join(volume, 'b'));
    const more = withMounts(
      bindOf(volume, '/volume'),
      bindOf(source, '/volume/a/there'),
      bindOf(source, '/volume/a/new/deep'),
      bindOf(join(source, 'mark'), '/volume/a/file'),
      { destination: '/volume/a/tmp', type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup'] },
    );
    const document = config(['sh', '-c', `cat /proc/self/mountinfo`], more);

    await whileExchanging(join(volume, 'a'), join(volume, 'b'), async () => {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const rootfs = agent.makeRootfs();
        await agent.run(document, rootfs).catch(() => undefined);
      }
    });

    expect(readdirSync(outside)).toEqual(['there']);
    expect(readdirSync(join(outside, 'there'))).toEqual([]);
    expect(agent.runInside('cat', '/proc/1/mountinfo')).not.toContain(outside);
  });

  test('gets no kernel files in the place of a link', async () => {
    const [volume, other] = [folder('volume'), folder('other')];
    mkdirSync(join(volume, 'proc'));
    mkdirSync(join(volume, 'target'));
    symlinkSync('/volume/target', join(volume, 'link'));
    const mounts = [
      ...base.slice(1),
      bindOf(volume, '/volume'),
      { destination: '/volume/proc', type: 'proc', source: 'proc' },
    ];
    const seen: string[] = [];

    await whileExchanging(join(volume, 'proc'), join(volume, 'link'), async () => {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const outcome = await agent.run(config(['sh', '-c', 'ls /volume/target'], { mounts })).catch(() => undefined);
        seen.push(outcome?.stdout ?? '');
      }
    });

    expect(seen.join('')).toBe('');
    expect(readdirSync(other)).toEqual([]);
  });
});

describe('id-mapped mounts', () => {
  const toUser = [{ containerID: 0, hostID: 1000, size: 1 }];

  test('show the files of one user as those of another, and keep them the first one’s', async () => {
    const source = folder('mapped');
    chmodSync(source, 0o755);
    writeFileSync(join(source, 'old'), '');
    const mount = { ...bindOf(source, '/data'), uidMappings: toUser, gidMappings: toUser };
    const process = { user: { uid: 1000, gid: 1000 } };

    const found = await lines('stat -c "%u:%g" /data/old; touch /data/new && echo made', {
      process,
      ...withMounts(mount),
    });

    expect(found).toEqual(['1000:1000', 'made']);
    expect(lstatSync(join(source, 'new'))).toMatchObject({ uid: 0, gid: 0 });
  });

  test.each([
    ['idmap', ['1000', '0']],
    ['ridmap', ['1000', '1000']],
  ])('reach as far as %s says', async (option, expected) => {
    const source = guestTmpfs('nested');
    mkdirSync(agent.pathInside(join(source, 'sub')));
    agent.runInside('mount', '-t', 'tmpfs', 'tmpfs', join(source, 'sub'));
    const mount = {
      destination: '/data',
      source,
      options: ['rbind', option],
      uidMappings: toUser,
      gidMappings: toUser,
    };

    expect(await lines('stat -c %u /data /data/sub', withMounts(mount))).toEqual(expected);
  });

  test("have the container's own mapping where they name none", async () => {
    const source = folder('own');
    chmodSync(source, 0o700);
    writeFileSync(join(source, 'file'), 'content\n');
    const more = { linux: MAPPED, ...withMounts(bindOf(source, '/data', 'idmap'), bindOf(source, '/plain')) };

    const found = await lines(
      'stat -c %u /data/file; cat /data/file; touch /data/new; stat -c %u /plain',
      more,
      mappedRootfs(),
    );

    expect(found).toEqual(['0', 'content', '65534']);
    expect(statSync(join(source, 'new')).uid).toBe(0);
  });

  test('of a file system that has none are refused with its name', async () => {
    const mount = { ...bindOf('/proc/sys', '/data'), uidMappings: toUser, gidMappings: toUser };

    expect(await refusal(withMounts(mount))).toMatch(
      /error mounting "\/proc\/sys" to rootfs at "\/data": .*file system \(proc\) may have no id-mapped mounts: invalid argument/,
    );
  });

  test.each([
    ['with one kind of mappings', { uidMappings: toUser }, 'both uidMappings and gidMappings'],
    ['with no mappings at all', { options: ['bind', 'idmap'] }, 'idmap needs uidMappings and gidMappings'],
    ['that are no bind mounts', { type: 'tmpfs', options: ['idmap'] }, 'only bind mounts can be id-mapped'],
    ['that overlap', { uidMappings: [...toUser, ...toUser], gidMappings: toUser }, 'at most 340 ranges'],
  ])('%s are refused', async (_what, part, words) => {
    expect(await refusal(withMounts({ ...bindOf('/etc', '/data'), ...part }))).toContain(words);
  });

  test('leave no process and no descriptor behind', async () => {
    const mount = { ...bindOf('/etc', '/data'), uidMappings: toUser, gidMappings: toUser };
    const count = () => [
      agent.runInside('sh', '-c', `ls /proc/1/fd | wc -l`),
      agent.runInside('sh', '-c', `cat /proc/1/task/1/children`),
    ];
    await lines('true', withMounts(mount));
    const before = count();

    await lines('true', withMounts(mount));
    await refusal(withMounts(mount, { ...mount, source: '/proc/sys' }));

    expect(count()).toEqual(before);
  });
});

describe('propagation', () => {
  /** The field of mountinfo that tells it, of a mount of the container. */
  const tell = (path: string) => `grep " ${path} " /proc/self/mountinfo | head -n1`;
  const kindOf = (line = '') =>
    line
      .split(' ')
      .slice(6, line.split(' ').indexOf('-'))
      .join(' ')
      .replace(/:[0-9]+/g, '');

  /** A root file system on a mount that the guest shares. */
  function sharedRootfs(): string {
    const rootfs = agent.makeRootfs();
    agent.runInside('mount', '--bind', rootfs, rootfs);
    agent.runInside('mount', '--make-shared', rootfs);
    return rootfs;
  }

  test.each([
    ['', 'master', 'master'],
    ['private', '', ''],
    ['rprivate', '', ''],
    ['slave', 'master', ''],
    ['rslave', 'master', ''],
    ['shared', 'shared', ''],
    ['rshared', 'shared', 'shared'],
    ['unbindable', 'unbindable', ''],
    ['runbindable', 'unbindable', 'unbindable'],
  ])('of the root is %j: %j, and of a mount in it %j', async (rootfsPropagation, root, inner) => {
    const [first, second] = await lines(
      `${tell('/')}; ${tell('/dev/shm')}`,
      { linux: { rootfsPropagation } },
      sharedRootfs(),
    );

    expect(kindOf(first)).toBe(root);
    expect(kindOf(second)).toBe(inner === 'master' ? '' : inner);
  });

  test('that is none is refused', async () => {
    expect(await refusal({ linux: { rootfsPropagation: 'sideways' } })).toMatch(/^INVALID_ARGUMENT: .*"sideways"/);
  });

  test.each([
    [['shared'], 'shared'],
    [['private'], ''],
    [['rslave'], ''],
    [['slave', 'shared'], 'shared'],
    [['unbindable'], 'unbindable'],
  ])('of a mount is its own: %j', async (options, kind) => {
    const [line] = await lines(tell('/t'), {
      linux: { rootfsPropagation: 'rshared' },
      ...withMounts({ destination: '/t', type: 'tmpfs', source: 'tmpfs', options }),
    });

    expect(kindOf(line).split(' ').at(-1)).toBe(kind);
  });

  test('carries mounts of the guest into a container, and those of one container to another', async () => {
    const volume = guestTmpfs('shared');
    agent.runInside('mount', '--make-shared', volume);
    for (const name of ['from-guest', 'from-container']) mkdirSync(agent.pathInside(join(volume, name)));
    const bind = (...options: readonly string[]) =>
      withMounts({ destination: '/v', source: volume, options: ['rbind', ...options] });
    const capabilities = Object.fromEntries(
      ['bounding', 'effective', 'permitted'].map((set) => [set, ['CAP_SYS_ADMIN', 'CAP_DAC_OVERRIDE']]),
    );
    const giver = await pause({ ...bind('rshared'), linux: { rootfsPropagation: 'rshared' } });
    const taker = await pause(bind('rslave'));
    const loner = await pause(bind('rprivate'));
    const stdio = stdioRequest();
    const mounting = { ...config(['mount', '-t', 'tmpfs', 'tmpfs', '/v/from-container']).process, capabilities };

    agent.runInside('mount', '-t', 'tmpfs', 'tmpfs', join(volume, 'from-guest'));
    await agent.call('ExecProcess', {
      containerId: giver,
      processId: 'm',
      ociProcessJson: JSON.stringify(mounting),
      stdio,
      ignorePaused: false,
    });
    await collect(await agent.stream(stdio, 'stdout'));
    const seen = await Promise.all([giver, taker, loner].map((id) => exec(id, 'grep -c " /v/" /proc/mounts')));
    for (const containerId of [giver, taker, loner]) await agent.call('DeleteContainer', { containerId, force: true });

    expect(seen).toEqual(['2\n', '2\n', '0\n']);
  });

  test('lets no mount of a container reach the guest that did not ask for it', async () => {
    const rootfs = sharedRootfs();
    const before = agent.runInside('cat', '/proc/1/mountinfo');

    for (const rootfsPropagation of ['', 'rslave', 'private', 'shared', 'slave']) {
      await lines('true', { linux: { rootfsPropagation } }, rootfs);
    }

    expect(agent.runInside('cat', '/proc/1/mountinfo')).toBe(before);
  });
});

test('volumes of a user namespace are reached where its root may not go', async () => {
  const closed = folder('closed');
  const source = join(closed, 'volume');
  mkdirSync(source);
  writeFileSync(join(source, 'file'), 'inside\n');
  chownSync(source, FIRST_ID, FIRST_ID);
  chmodSync(closed, 0o700);

  const found = await lines(
    'cat /data/file; touch /data/new; stat -c %u /data/new',
    { linux: MAPPED, ...withMounts(bindOf(source, '/data')) },
    mappedRootfs(),
  );

  expect(found).toEqual(['inside', '0']);
});
