// The root file system as a whole: devices and links in /dev, masked and read-only paths, the read-only root; and what an
// image that wants to break out gets.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ConfigParts, collect, config, stdioRequest, TestAgent, uniqueId } from './harness.ts';

let agent: TestAgent;
beforeAll(async () => {
  agent = await TestAgent.start();
  chmodSync(agent.directory, 0o711);
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});

const base = config([]).mounts;
const withoutDev = base.filter(({ destination }) => !destination.startsWith('/dev'));
const MAPPING = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
const MAPPED = {
  namespaces: ['user', 'pid', 'mount', 'ipc', 'uts', 'cgroup', 'network'].map((type) => ({ type })),
  uidMappings: MAPPING,
  gidMappings: MAPPING,
};

function mappedRootfs(): string {
  const rootfs = agent.makeRootfs();
  execFileSync('chown', ['-hR', '100000:100000', rootfs]);
  return rootfs;
}

async function lines(script: string, more: ConfigParts = {}, rootfs = agent.makeRootfs()): Promise<string[]> {
  const { stdout } = await agent.run(config(['sh', '-c', `exec 2>&1; ${script}`], more), rootfs);
  return stdout.trimEnd().split('\n');
}

async function refusal(more: ConfigParts, rootfs = agent.makeRootfs(), stdio = stdioRequest()): Promise<string> {
  try {
    await agent.create(uniqueId(), config(['true'], more), stdio, rootfs);
  } catch (error) {
    return `${(error as { code: string }).code}: ${(error as Error).message}`;
  }
  throw new Error('the container was made');
}

/** Runs a script on a terminal. @returns what it printed there */
async function onTerminal(script: string, more: ConfigParts, rootfs = agent.makeRootfs()): Promise<string> {
  const containerId = uniqueId();
  const stdio = stdioRequest({ terminal: true, stderr: false });
  await agent.create(
    containerId,
    config(['sh', '-c', script], { process: { terminal: true }, ...more }),
    stdio,
    rootfs,
  );
  const output = collect(await agent.stream(stdio, 'terminal'));
  await agent.call('StartContainer', { containerId });
  const text = String(await output);
  await agent.call('DeleteContainer', { containerId, force: true });
  return text.replaceAll('\r', '');
}

describe('devices', () => {
  test('are what the configuration says, whatever lies on the way: a fifo, a block device, modes of their own', async () => {
    const devices = [
      { path: '/dev/deep/down/fifo', type: 'p', fileMode: 0o640, uid: 3, gid: 4 },
      { path: '/dev/block', type: 'b', major: 7, minor: 300, fileMode: 0o060640 },
      { path: '/dev/u', type: 'u', major: 1, minor: 3, fileMode: 0o777 },
      { path: '/dev/plain', type: 'c', major: 1, minor: 5 },
    ];
    const process = { user: { uid: 0, gid: 0, umask: 0o777 } };

    const found = await lines('cd /dev; stat -c "%n %F %a %u:%g %t:%T" deep/down/fifo block u plain', {
      linux: { devices },
      process,
    });

    expect(found).toEqual([
      'deep/down/fifo fifo 640 3:4 0:0',
      'block block special file 640 0:0 7:12c',
      'u character special file 777 0:0 1:3',
      'plain character special file 666 0:0 1:5',
    ]);
  });

  test('of the configuration win over the default ones, but for /dev/ptmx', async () => {
    const devices = [
      { path: '/dev//tty/', type: 'c', major: 1, minor: 5, fileMode: 0o600, uid: 7 },
      { path: '/dev/ptmx', type: 'c', major: 1, minor: 3 },
    ];

    expect(await lines('stat -c "%a %u %t:%T" /dev/tty; readlink /dev/ptmx', { linux: { devices } })).toEqual([
      '600 7 1:5',
      'pts/ptmx',
    ]);
  });

  test.each([
    [{ path: 'relative', type: 'c', major: 1, minor: 3 }, 'linux.devices[0].path "relative" must be absolute'],
    [{ path: '/dev/x', type: 'c', minor: 3 }, 'linux.devices[0].major is missing'],
    [{ path: '/dev/x', type: 'd' }, 'linux.devices[0].type must be c, u, b or p'],
  ])('%j is refused', async (device, words) => {
    expect(await refusal({ linux: { devices: [device] } })).toContain(words);
  });

  test('leave a file of the image as it is, where /dev is the image’s own', async () => {
    const rootfs = agent.makeRootfs();
    writeFileSync(join(rootfs, 'dev/zero'), 'mine\n');

    const found = await lines(
      'cat /dev/zero; stat -c %t:%T /dev/null; readlink /dev/fd; readlink /dev/ptmx',
      { mounts: withoutDev },
      rootfs,
    );

    expect(found).toEqual(['mine', '1:3', '/proc/self/fd', 'pts/ptmx']);
  });

  test('are not put into a /dev that is bound from elsewhere', async () => {
    const source = join(agent.directory, `dev-${uniqueId()}`);
    mkdirSync(source);
    const mount = { destination: '/dev/', type: 'none', source, options: ['bind'] };

    expect(await lines('ls /dev; echo end', { mounts: [...withoutDev, mount] })).toEqual(['end']);
  });

  test('are found through a link that the image has in the place of /dev', async () => {
    const rootfs = agent.makeRootfs();
    mkdirSync(join(rootfs, 'devices'));
    rmdirSync(join(rootfs, 'dev'));
    symlinkSync('../../devices', join(rootfs, 'dev'));

    expect(
      await lines('echo x > /dev/null && ls /devices/null; grep -c " /devices tmpfs" /proc/mounts', {}, rootfs),
    ).toEqual(['/devices/null', '1']);
  });

  test('are in a read-only /dev too', async () => {
    const mounts = base.map((mount) =>
      mount.destination === '/dev' ? { ...mount, options: ['nosuid', 'ro'] } : mount,
    );

    expect(await lines('echo x > /dev/null; touch /dev/x; touch /dev/shm/y; ls /dev/zero', { mounts })).toEqual([
      'touch: /dev/x: Read-only file system',
      '/dev/zero',
    ]);
  });

  test("are the guest's own in a user namespace, where none can be made", async () => {
    const devices = [
      { path: '/dev/net/tun', type: 'c', major: 10, minor: 200 },
      { path: '/dev/fifo', type: 'p', fileMode: 0o600 },
    ];

    const found = await lines(
      'echo x > /dev/null; head -c3 /dev/zero | wc -c; stat -c "%F %t:%T" /dev/null /dev/tty /dev/net/tun; stat -c "%F %a %u" /dev/fifo; grep -c " /dev/null devtmpfs" /proc/mounts',
      { linux: { ...MAPPED, devices } },
      mappedRootfs(),
    );

    expect(found).toEqual([
      '3',
      'character special file 1:3',
      'character special file 5:0',
      'character special file a:c8',
      'fifo 600 0',
      '1',
    ]);
  });

  test.each([
    [{ path: '/dev/moon', type: 'c', major: 1, minor: 3 }, 'open /dev/moon: no such file or directory'],
    [
      { path: '/dev/zero', type: 'c', major: 1, minor: 3 },
      '/dev/zero of the guest is not the device 1:3 of config.json',
    ],
    [
      { path: '/dev/full', type: 'b', major: 1, minor: 7 },
      '/dev/full of the guest is not the device 1:7 of config.json',
    ],
  ])('that the guest has not cannot be in a user namespace: %j', async (device, words) => {
    expect(await refusal({ linux: { ...MAPPED, devices: [device] } }, mappedRootfs())).toContain(words);
  });

  test('without devpts are no obstacle', async () => {
    const mounts = base.filter(({ type }) => type !== 'devpts');

    expect(await lines('readlink /dev/ptmx; ls /dev/ptmx', { mounts })).toEqual([
      'pts/ptmx',
      'ls: /dev/ptmx: No such file or directory',
    ]);
  });
});

describe('/dev/console', () => {
  test('is the terminal, where there is one', async () => {
    expect(await onTerminal('echo hello > /dev/console; stat -c %t /dev/console; readlink /dev/console', {})).toBe(
      'hello\n88\n',
    );
  });

  test.each([
    ['/etc/passwd', 'open /dev/console: too many levels of symbolic links'],
    ['/proc/sys/kernel/core_pattern', 'open /dev/console: too many levels of symbolic links'],
    ['/nowhere', 'open /dev/console: too many levels of symbolic links'],
  ])('of the image may be no link, to %s for one', async (target, words) => {
    const rootfs = agent.makeRootfs();
    symlinkSync(target, join(rootfs, 'dev/console'));
    mkdirSync(join(rootfs, 'dev/pts'));
    const mounts = [...withoutDev, ...base.filter(({ type }) => type === 'devpts')];
    const stdio = stdioRequest({ terminal: true, stderr: false });

    expect(await refusal({ process: { terminal: true }, mounts }, rootfs, stdio)).toContain(words);
    expect(readFileSync(join(rootfs, 'etc/passwd'), 'utf8')).toContain('root:x:0:0');
  });

  test('covers what the image has there, a file for one', async () => {
    const rootfs = agent.makeRootfs();
    writeFileSync(join(rootfs, 'dev/console'), 'image\n');
    mkdirSync(join(rootfs, 'dev/pts'));
    const mounts = [...withoutDev, ...base.filter(({ type }) => type === 'devpts')];

    expect(await onTerminal('echo hello > /dev/console', { mounts }, rootfs)).toBe('hello\n');
    expect(readFileSync(join(rootfs, 'dev/console'), 'utf8')).toBe('image\n');
  });
});

describe('masked paths', () => {
  test('are empty, files and directories, and those that are not there no matter', async () => {
    const rootfs = agent.makeRootfs();
    mkdirSync(join(rootfs, 'secrets/inner'), { recursive: true });
    mkdirSync(join(rootfs, 'more'));
    writeFileSync(join(rootfs, 'more/file'), '');
    writeFileSync(join(rootfs, 'secret'), 'secret');
    const maskedPaths = ['/secrets', '/secret', '/more', '/not/there', '/secret/not', '/proc/keys'];

    const found = await lines(
      'ls /secrets /more; cat /secret; echo x > /secret; stat -c %t:%T /secret; touch /secrets/x; grep -c "^tmpfs /secrets tmpfs ro" /proc/mounts',
      { linux: { maskedPaths } },
      rootfs,
    );

    expect(found).toEqual(['/more:', '', '/secrets:', '1:3', 'touch: /secrets/x: Read-only file system', '1']);
  });

  test('share one file system, which nobody can fill', async () => {
    const rootfs = agent.makeRootfs();
    for (const name of ['a', 'b', 'c']) mkdirSync(join(rootfs, name));

    const found = await lines(
      'stat -c %d /a /b /c | sort -u | wc -l',
      { linux: { maskedPaths: ['/a', '/b', '/c'] } },
      withLinks(rootfs, 'sort'),
    );

    expect(found).toEqual(['1']);
  });

  test("are covered by the guest's null device, not by what the image calls so", async () => {
    const rootfs = agent.makeRootfs();
    symlinkSync('/etc/passwd', join(rootfs, 'dev/null'));
    writeFileSync(join(rootfs, 'secret'), 'secret');

    const found = await lines(
      'stat -c %t:%T /secret; wc -c < /secret; grep -c root /etc/passwd',
      { mounts: withoutDev, linux: { maskedPaths: ['/secret'] } },
      rootfs,
    );

    expect(found).toEqual(['1:3', '0', '1']);
  });

  test('may be read-only paths as well', async () => {
    const linux = { maskedPaths: ['/proc/sys'], readonlyPaths: ['/proc/sys'] };

    expect(await lines('ls /proc/sys; echo end', { linux })).toEqual(['end']);
  });
});

function withLinks(rootfs: string, ...names: readonly string[]): string {
  for (const name of names) symlinkSync('busybox', join(rootfs, 'bin', name));
  return rootfs;
}

describe('read-only paths', () => {
  test('keep what else their mounts are, files among them', async () => {
    const mounts = base.map((mount) =>
      mount.type === 'proc' ? { ...mount, options: ['nosuid', 'noexec', 'nodev', 'noatime'] } : mount,
    );
    const linux = { readonlyPaths: ['/proc/sys', '/etc/passwd', '/not/there', '/etc/passwd/not'] };

    const found = await lines('grep -E " (/proc/sys|/etc/passwd) " /proc/self/mountinfo; echo x > /etc/passwd', {
      mounts,
      linux,
    });

    expect(found.slice(0, 2).map((line) => line.split(' ')[5])).toEqual([
      'ro,nosuid,nodev,noexec,noatime',
      'ro,relatime',
    ]);
    expect(found[2]).toContain('Read-only file system');
  });

  test('leave a volume in them as it is', async () => {
    const volume = join(agent.directory, `volume-${uniqueId()}`);
    mkdirSync(volume);
    const mounts = [...base, { destination: '/data/volume', type: 'bind', source: volume, options: ['bind'] }];

    const found = await lines('touch /data/x; touch /data/volume/x && ls /data/volume', {
      mounts,
      linux: { readonlyPaths: ['/data'] },
    });

    expect(found).toEqual(['touch: /data/x: Read-only file system', 'x']);
  });
});

describe('a read-only root', () => {
  test('has volumes and tmpfs mounts that can be written to, in places that are made for them', async () => {
    const volume = join(agent.directory, `volume-${uniqueId()}`);
    mkdirSync(volume);
    const mounts = [
      ...base,
      { destination: '/made/volume', type: 'bind', source: volume, options: ['rbind'] },
      { destination: '/made/tmpfs', type: 'tmpfs', source: 'tmpfs', options: ['ro'] },
    ];

    const found = await lines('touch /x; touch /made/volume/y && ls /made/volume; touch /made/tmpfs/z; pwd', {
      mounts,
      root: { readonly: true },
      process: { cwd: '/made/tmpfs/cwd' },
    });

    expect(found).toEqual([
      'touch: /x: Read-only file system',
      'y',
      'touch: /made/tmpfs/z: Read-only file system',
      '/made/tmpfs/cwd',
    ]);
  });

  test("leaves the guest's own view of it as it was", async () => {
    const rootfs = agent.makeRootfs();

    await lines('true', { root: { readonly: true } }, rootfs);
    agent.runInside('touch', join(rootfs, 'afterwards'));

    expect(statSync(join(rootfs, 'afterwards')).isFile()).toBe(true);
  });
});

describe('an image', () => {
  test('cannot have kernel settings written elsewhere', async () => {
    const rootfs = agent.makeRootfs();
    const target = join(agent.directory, 'target');
    writeFileSync(target, 'untouched');
    mkdirSync(join(rootfs, 'fake/sys/kernel'), { recursive: true });
    symlinkSync(target, join(rootfs, 'fake/sys/kernel/shm_rmid_forced'));
    const mounts = [
      ...base,
      { destination: '/volume', type: 'bind', source: join(rootfs, 'fake'), options: ['rbind'] },
    ];
    const linux = { sysctl: { 'kernel.shm_rmid_forced': '1' } };

    expect(await lines('cat /proc/sys/kernel/shm_rmid_forced', { mounts, linux }, rootfs)).toEqual(['1']);
    expect(readFileSync(target, 'utf8')).toBe('untouched');
  });

  test('has its working directory made inside of it', async () => {
    const rootfs = agent.makeRootfs();
    const outside = join(agent.directory, `outside-${uniqueId()}`);
    symlinkSync(outside, join(rootfs, 'work'));

    expect(await lines('pwd', { process: { cwd: '/work/here' } }, rootfs)).toEqual([`${outside}/here`]);
    expect(() => lstatSync(outside)).toThrow('ENOENT');
    expect(lstatSync(join(rootfs, outside, 'here')).isDirectory()).toBe(true);
  });
});
