// What nobody in a container, and nothing in its root file system, may bring about.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Case } from '../case.ts';
import { capabilities, containerConfig, namespaces, type Parts } from '../config.ts';
import type { Ended, Engine } from '../engine.ts';
import type { Place } from '../place.ts';
import { reportOf } from '../verify.ts';

const ROOT_NAMES = ['bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp'];
/** Enough steps up from any place to the root of all. */
const UP = '../'.repeat(24);

/** Not every kernel has all that is masked by default. */
const MASKED: Parts = { linux: { maskedPaths: ['/proc/cmdline'] } };

/** Puts a link in the place of a folder of the root file system. */
function replaceByLink({ rootfs }: Place, name: string, target: string): void {
  rmdirSync(join(rootfs, name));
  symlinkSync(target, join(rootfs, name));
}

/** Runs a container whose root file system was prepared by its enemy; nothing may appear in the folder that the links lead to. */
async function nothingOutside(engine: Engine, prepare: (place: Place) => void, parts: Parts = {}): Promise<Ended> {
  const place = engine.place();
  prepare(place);
  const ended = await engine.run(place, containerConfig(['/bin/probe', 'cwd'], parts));
  expect(readdirSync(place.volume)).toEqual([]);
  return ended;
}

/** Links of many forms that would lead from the root file system to the volume beside it. */
const LINKS: Readonly<Record<string, (place: Place) => string>> = {
  'a relative link upwards': () => '../volume',
  'an absolute link by the engine’s path': ({ inside }) => inside.volume,
  'a link above the root': ({ inside }) => `/${UP}${inside.volume}`,
};

/** Links in the place of all that a runtime opens or makes below the root, but for /dev. */
const EVERYWHERE: Parts = {
  mounts: [{ destination: '/data/x/y', type: 'tmpfs', source: 'tmpfs' }],
  process: { cwd: '/work/made/here' },
  linux: {
    devices: [{ path: '/nodes/null', type: 'c', major: 1, minor: 3 }],
    maskedPaths: ['/masked'],
    readonlyPaths: ['/masked'],
  },
};

const attacks: readonly (readonly [name: string, attack: (place: Place, link: string) => void, parts: Parts])[] = [
  [
    'mounts, devices, masks and the working directory',
    ({ rootfs }, link) => {
      for (const name of ['data', 'nodes', 'work', 'masked']) symlinkSync(link, join(rootfs, name));
    },
    EVERYWHERE,
  ],
  ['/dev', (place, link) => replaceByLink(place, 'dev', link), {}],
  ['/sys', (place, link) => replaceByLink(place, 'sys', link), {}],
];

const FOLLOWS_DEV = {
  reason: 'version 1.1 makes the links fd, ptmx, stdin ... where such a link leads',
  skipped: true,
} as const;

const linkCases = attacks.flatMap(([what, attack, parts]) =>
  Object.entries(LINKS).map(
    ([form, target]): Case => ({
      name: `${form} in the place of ${what} leaves the outside alone`,
      field: 'escape',
      async scenario(engine) {
        await nothingOutside(engine, (place) => attack(place, target(place)), parts);
      },
      ...(what === '/dev' ? { differs: { runc: FOLLOWS_DEV } } : {}),
    }),
  ),
);

/** By descriptors that a runtime may have forgotten to close (CVE-2024-21626). */
const descriptorCases = [3, 7, 8].map(
  (number): Case => ({
    name: `/proc/self/fd/${number} as working directory is refused`,
    field: 'escape',
    config: { process: { cwd: `/proc/self/fd/${number}` } },
    commands: ['cwd', 'ls .', 'ls ..'],
    refused: /./,
  }),
);

const NOT_DELEGATED = { reason: 'the host’s tree of cgroups is not mounted with nsdelegate', skipped: true } as const;
const WAITS = { reason: 'opens it and waits', skipped: true } as const;
/** By the addresses that a guest may have for itself and its host. */
const AGENT_PORTS = ['1 1024', '1 1025', '1 1026', '2 1024', '3 1024', '3 1025', '3 1026'].map(
  (port) => `vsock ${port}`,
);
const NO_TERMINAL = { reason: 'the suite gives no terminal to an exec by the command', skipped: true } as const;

export const escapeCases: readonly Case[] = [
  ...linkCases,
  ...descriptorCases,
  {
    name: 'an exec’s working directory does not lead out by a descriptor either',
    field: 'escape',
    prepare: ({ rootfs }) => symlinkSync('/proc/self/fd/7/../../..', join(rootfs, 'way')),
    exec: { cwd: '/way' },
    commands: ['cwd', 'ls .'],
    refused: /./,
  },
  {
    name: '/proc that is a link is refused: what is masked in it would not be',
    field: 'escape',
    prepare: (place) => replaceByLink(place, 'proc', '/tmp'),
    commands: ['cwd'],
    refused: /proc/,
  },
  {
    name: 'nothing may be mounted inside of /proc',
    field: 'escape',
    config: { mounts: [{ destination: '/proc/self/attr', type: 'tmpfs', source: 'tmpfs' }] },
    commands: ['cwd'],
    refused: /proc/,
    differs: { crun: { reason: 'does not look', finds: { cwd: '/' } } },
  },
  {
    name: 'a destination above the root is one below it',
    field: 'escape',
    config: { mounts: [{ destination: `/${UP}data`, type: 'tmpfs', source: 'tmpfs', options: ['mode=711'] }] },
    commands: ['stat /data', 'ls /'],
    finds: { 'stat /data': { mode: '0711' }, 'ls /': ['bin', 'data', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp'] },
  },
  {
    name: 'a new root below does not keep the way up open',
    field: 'escape',
    config: { process: { capabilities: capabilities('CAP_SYS_CHROOT') } },
    commands: ['leave-chroot', 'ls /'],
    finds: { 'leave-chroot': 'ok', 'ls /': ROOT_NAMES },
  },
  {
    name: 'root of the container has none of the machine’s rights',
    field: 'escape',
    config: MASKED,
    commands: [
      'write /proc/sys/kernel/core_pattern /tmp/x',
      'write /proc/sysrq-trigger b',
      'write /sys/kernel/uevent_helper /tmp/x',
      'create /sys/fs/cgroup/release_agent x',
      'write /sys/fs/cgroup/cgroup.procs 0',
      'mkdir /sys/fs/cgroup/mine',
      'mount proc /tmp proc',
      'mount none /proc/sys none remount,bind',
      'mount cgroup /tmp cgroup',
      'umount /proc/cmdline',
      'umount /proc/sys',
      'mknod /tmp/memory c 1 1',
      'chroot /tmp',
      'unshare mount',
      'open /dev/mem r',
      'open /dev/kmsg r',
      'open /dev/vda r',
      'syscall 169 0xfee1dead 672274793 0x1234567',
      'syscall 170 /x 1',
      'syscall 175 0 0 /x',
    ],
    finds: {
      'write /proc/sys/kernel/core_pattern /tmp/x': 'EROFS',
      'write /proc/sysrq-trigger b': expect.stringMatching(/EROFS|ENOENT/),
      'write /sys/kernel/uevent_helper /tmp/x': expect.stringMatching(/EROFS|ENOENT/),
      'create /sys/fs/cgroup/release_agent x': 'EROFS',
      'write /sys/fs/cgroup/cgroup.procs 0': 'EROFS',
      'mkdir /sys/fs/cgroup/mine': 'EROFS',
      'mount proc /tmp proc': 'EPERM',
      'mount none /proc/sys none remount,bind': 'EPERM',
      'mount cgroup /tmp cgroup': 'EPERM',
      'umount /proc/cmdline': 'EPERM',
      'umount /proc/sys': 'EPERM',
      'mknod /tmp/memory c 1 1': 'EPERM',
      'chroot /tmp': 'EPERM',
      'unshare mount': 'EPERM',
      'open /dev/mem r': 'ENOENT',
      'open /dev/kmsg r': 'ENOENT',
      'open /dev/vda r': 'ENOENT',
      'syscall 169 0xfee1dead 672274793 0x1234567': 'EPERM',
      'syscall 170 /x 1': 'EPERM',
      'syscall 175 0 0 /x': expect.stringMatching(/EPERM|ENOSYS/),
    },
  },
  {
    name: 'a user namespace of its own takes off no mask and makes no new /proc',
    field: 'escape',
    config: MASKED,
    commands: [
      'fork unshare user,mount;umount /proc/cmdline;umount /proc/sys;mount none /proc/sys none remount,bind;write /proc/sys/kernel/core_pattern x;read /proc/cmdline',
      'fork unshare user,mount,pid;fork mount proc /tmp proc',
      'fork unshare user,mount,cgroup;mount cgroup2 /tmp cgroup2;write /tmp/cgroup.procs 0',
      'fork unshare user,mount;mknod /tmp/null c 1 3',
    ],
    finds: {
      'fork unshare user,mount;umount /proc/cmdline;umount /proc/sys;mount none /proc/sys none remount,bind;write /proc/sys/kernel/core_pattern x;read /proc/cmdline':
        {
          'umount /proc/cmdline': expect.stringMatching(/EINVAL|EPERM/),
          'umount /proc/sys': expect.stringMatching(/EINVAL|EPERM/),
          'mount none /proc/sys none remount,bind': 'EPERM',
          'write /proc/sys/kernel/core_pattern x': 'EROFS',
          'read /proc/cmdline': '',
        },
      'fork unshare user,mount,pid;fork mount proc /tmp proc': {
        'fork mount proc /tmp proc': { 'mount proc /tmp proc': 'EPERM' },
      },
      'fork unshare user,mount;mknod /tmp/null c 1 3': { 'mknod /tmp/null c 1 3': 'EPERM' },
    },
  },
  {
    name: 'the engine’s own processes cannot be reached where pids are shared',
    field: 'escape',
    config: { linux: { namespaces: namespaces('mount', 'ipc', 'uts', 'network', 'cgroup') } },
    commands: [
      'ls /proc/1/root',
      'open /proc/1/exe r',
      'open /proc/1/mem r',
      'readlink /proc/1/fd/0',
      'ptrace 1',
      'setns /proc/1/ns/mnt',
      'kill 1 9',
    ],
    finds: {
      'ls /proc/1/root': 'EACCES',
      'open /proc/1/exe r': 'EACCES',
      'open /proc/1/mem r': 'EACCES',
      'readlink /proc/1/fd/0': 'EACCES',
      'ptrace 1': 'EPERM',
      'setns /proc/1/ns/mnt': 'EACCES',
    },
  },
  {
    name: 'a process that enters cannot be reached before it has become its program (CVE-2019-5736)',
    field: 'escape',
    async scenario(engine) {
      const running = await engine.start(engine.place(), containerConfig(['/bin/probe', 'spy /run/stop'], {}));
      const process = { args: ['/bin/probe', 'cwd'], cwd: '/', user: { uid: 0, gid: 0 } };
      for (let count = 0; count < engine.tries; count += 1) expect((await running.exec(process)).status).toBe(0);
      await running.exec({ ...process, args: ['/bin/probe', 'create /run/stop x'] });
      const ended = await running.ended;
      await running.remove();
      expect(reportOf(ended)).toMatchObject({ 'spy /run/stop': { reached: [] } });
    },
  },
  {
    name: 'the program of the engine is not overwritten by way of /proc/self/exe',
    field: 'escape',
    async scenario(engine) {
      const place = engine.place();
      symlinkSync('/proc/self/exe', join(place.rootfs, 'bin/self'));
      await engine.run(place, containerConfig(['/bin/self', 'cwd'], {}));
      const after = await engine.run(engine.place(), containerConfig(['/bin/probe', 'cwd'], {}));
      expect({ ...after, found: reportOf(after) }).toMatchObject({ status: 0, found: { cwd: '/' } });
    },
  },
  {
    name: 'keys of one container are not found in another',
    field: 'escape',
    async scenario(engine) {
      const first = await engine.start(
        engine.place(),
        containerConfig(['/bin/probe', 'keep secret', 'await-signal'], {}),
      );
      const other = await engine.run(engine.place(), containerConfig(['/bin/probe', 'key secret'], {}));
      await first.remove();
      expect(reportOf(other)).toMatchObject({ 'key secret': expect.stringMatching(/ENOKEY|ENOSYS/) });
    },
  },
  {
    name: 'a cgroup that may be written does not let it raise its own limits',
    field: 'escape',
    needs: ['pids'],
    config: {
      mounts: [{ destination: '/run/cgroup', type: 'cgroup', source: 'cgroup' }],
      linux: { resources: { pids: { limit: 20 } } },
    },
    commands: [
      'mkdir /run/cgroup/mine',
      'write /run/cgroup/pids.max max',
      'write /run/cgroup/../cgroup.procs 0',
      'read /run/cgroup/pids.max',
    ],
    finds: {
      'mkdir /run/cgroup/mine': 'ok',
      'write /run/cgroup/pids.max max': 'EPERM',
      'write /run/cgroup/../cgroup.procs 0': 'ENOENT',
      'read /run/cgroup/pids.max': '20\n',
    },
    differs: { runc: NOT_DELEGATED, crun: NOT_DELEGATED },
  },
  {
    name: 'a list of users that never ends to be read does not hold up the engine',
    field: 'escape',
    prepare: ({ rootfs }) => {
      unlinkSync(join(rootfs, 'etc/passwd'));
      execFileSync('mkfifo', [join(rootfs, 'etc/passwd')]);
    },
    commands: ['cwd'],
    finds: { cwd: '/' },
    differs: { runc: WAITS, crun: WAITS },
  },
  {
    name: 'a terminal that the container made up is not taken for one',
    field: 'escape',
    async scenario(engine) {
      const rights = { process: { capabilities: capabilities('CAP_SYS_ADMIN', 'CAP_MKNOD') } };
      const commands = [
        'mount tmpfs /dev/pts tmpfs',
        'mknod /dev/pts/ptmx p 0 0',
        'create /run/done x',
        'await-signal',
      ];
      const running = await engine.start(engine.place(), containerConfig(['/bin/probe', ...commands], rights));
      const process = { cwd: '/', user: { uid: 0, gid: 0 } };
      await running.exec({ ...process, args: ['/bin/probe', 'await /run/done'] });
      const fooled = await running.exec({ ...process, args: ['/bin/probe', 'tty'], terminal: true });
      const after = await running.exec({ ...process, args: ['/bin/probe', 'cwd'] });
      await running.remove();
      expect(fooled).toMatchObject({ status: 1, stdout: '', stderr: expect.stringMatching(/ptmx|terminal/) });
      expect(reportOf(after)).toEqual({ cwd: '/' });
    },
    differs: { runc: NO_TERMINAL, crun: NO_TERMINAL, tskata: NO_TERMINAL },
  },
  {
    name: 'the agent’s ports do not answer',
    field: 'escape',
    endToEnd: true,
    commands: AGENT_PORTS,
    finds: Object.fromEntries(AGENT_PORTS.map((port) => [port, expect.not.stringMatching(/answered|silence/)])),
  },
  {
    name: 'a link that changes while a container is made leads nowhere else (CVE-2021-30465)',
    field: 'escape',
    async scenario(engine) {
      const place = engine.place();
      const target = join(place.folder, 'target');
      mkdirSync(target);
      mkdirSync(join(place.volume, 'one'));
      symlinkSync(`/${UP}${place.inside.folder}/target`, join(place.volume, 'other'));
      const volume = { destination: '/volume', type: 'bind', source: place.inside.volume, options: ['bind'] };
      const swap = ['/bin/probe', 'exchange /volume/one /volume/other /volume/stop', 'await /volume/stop'];
      const attacker = await engine.start(place, containerConfig(swap, { mounts: [volume] }));
      const mounts = [
        volume,
        { destination: '/volume/one/a', type: 'tmpfs', source: 'tmpfs' },
        { destination: '/volume/one/b', type: 'bind', source: place.inside.rootfs, options: ['bind'] },
      ];
      for (let count = 0; count < engine.tries; count += 1) {
        await engine.run(engine.place(), containerConfig(['/bin/probe', 'cwd'], { mounts }));
      }
      writeFileSync(join(place.volume, 'stop'), '');
      await attacker.ended;
      await attacker.remove();
      expect(readdirSync(target)).toEqual([]);
    },
  },
  {
    name: 'a container that hides its /proc does not keep rights from being taken of who enters',
    field: 'escape',
    async scenario(engine) {
      const admin = { process: { capabilities: capabilities('CAP_SYS_ADMIN') } };
      const commands = ['mount tmpfs /proc tmpfs', 'create /run/done x', 'await-signal'];
      const running = await engine.start(engine.place(), containerConfig(['/bin/probe', ...commands], admin));
      const exec = (args: string[], more: object = {}) =>
        running.exec({
          args: ['/bin/probe', ...args],
          cwd: '/',
          user: { uid: 1000, gid: 1000 },
          noNewPrivileges: true,
          ...more,
        });
      const ended = await exec(['ids', 'no-new-privs', 'caps']);
      await running.remove();
      // Refused, or right.
      expect([1, 0, 255]).toContain(ended.status);
      expect([ended.stdout === '' ? 'refused' : reportOf(ended)]).toEqual([
        expect.toSatisfy(
          (found: unknown) =>
            found === 'refused' ||
            JSON.stringify(found).includes('"uid":[1000,1000,1000]') ===
              JSON.stringify(found).includes('"effective":[]'),
        ),
      ]);
    },
  },
];
