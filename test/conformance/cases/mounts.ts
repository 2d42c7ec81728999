// config.md, "Root" and "Mounts"; config-linux.md, "Default Filesystems", "Rootfs Mount Propagation", "IDMapped mounts".
import { chownSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Case } from '../case.ts';
import { capabilities, namespaces } from '../config.ts';
import type { Place } from '../place.ts';
import { PROBE } from '../probe.ts';

/** Options of a mount, by the option that asks for each; those that the kernel shows in another way are told apart. */
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  ro: ['relatime', 'ro'],
  nosuid: ['nosuid', 'relatime', 'rw'],
  nodev: ['nodev', 'relatime', 'rw'],
  noexec: ['noexec', 'relatime', 'rw'],
  noatime: ['noatime', 'rw'],
  nodiratime: ['nodiratime', 'relatime', 'rw'],
  relatime: ['relatime', 'rw'],
  strictatime: ['rw'],
};

const tmpfs = (destination: string, ...options: string[]) => ({ destination, type: 'tmpfs', source: 'tmpfs', options });
const bind = (destination: string, source: string, ...options: string[]) => ({
  destination,
  type: 'bind',
  source,
  options: ['bind', ...options],
});

/** A volume with a file, a program and a folder in which something else may be mounted. */
function fillVolume({ volume }: Place): void {
  writeFileSync(join(volume, 'file'), 'of the volume');
  mkdirSync(join(volume, 'below'));
}

/** A mount's propagation. A copy of a mount that others share is the slave of theirs as well. */
const propagates = (...kinds: string[]) => ({
  propagation: expect.toSatisfy((found: string[]) => found.filter((kind) => kind !== 'master').join() === kinds.join()),
});

/** For what runc knows since 1.2. */
const SINCE_1_2 = { runc: { reason: 'versions before 1.2 do not know it', skipped: true } } as const;

export const mountCases: readonly Case[] = [
  {
    name: 'file systems and devices that every container has',
    field: 'mounts',
    endToEnd: true,
    commands: [
      'mountinfo /proc',
      'mountinfo /sys',
      'mountinfo /dev',
      'mountinfo /dev/pts',
      'mountinfo /dev/shm',
      'mountinfo /dev/mqueue',
      'mountinfo /sys/fs/cgroup',
      'stat /dev/shm',
      'ls /dev',
      ...['null', 'zero', 'full', 'random', 'urandom', 'tty'].map((name) => `stat /dev/${name}`),
      ...['fd', 'stdin', 'stdout', 'stderr', 'ptmx'].map((name) => `readlink /dev/${name}`),
      'open /dev/null rw',
      'open /dev/ptmx rw',
      'read /proc/self/cgroup',
      'read /sys/fs/cgroup/cgroup.procs',
    ],
    finds: {
      'mountinfo /proc': { type: 'proc', options: ['relatime', 'rw'] },
      'mountinfo /sys': { type: 'sysfs', options: ['nodev', 'noexec', 'nosuid', 'relatime', 'ro'] },
      'mountinfo /dev': {
        type: 'tmpfs',
        options: ['nosuid', 'rw'],
        super: expect.arrayContaining(['mode=755', 'size=65536k']),
      },
      'mountinfo /dev/pts': {
        type: 'devpts',
        options: ['noexec', 'nosuid', 'relatime', 'rw'],
        super: ['gid=5', 'mode=620', 'ptmxmode=666', 'rw'],
      },
      'mountinfo /dev/shm': { type: 'tmpfs', options: ['nodev', 'noexec', 'nosuid', 'relatime', 'rw'] },
      'mountinfo /dev/mqueue': { type: 'mqueue', options: ['nodev', 'noexec', 'nosuid', 'relatime', 'rw'] },
      'mountinfo /sys/fs/cgroup': {
        type: 'cgroup2',
        root: '/',
        options: ['nodev', 'noexec', 'nosuid', 'relatime', 'ro'],
      },
      'stat /dev/shm': { type: 'directory', mode: '1777' },
      'stat /dev/null': { type: 'character', device: '1:3', mode: '0666', uid: 0, gid: 0 },
      'stat /dev/zero': { device: '1:5', mode: '0666' },
      'stat /dev/full': { device: '1:7', mode: '0666' },
      'stat /dev/random': { device: '1:8', mode: '0666' },
      'stat /dev/urandom': { device: '1:9', mode: '0666' },
      'stat /dev/tty': { device: '5:0', mode: '0666' },
      'ls /dev': expect.arrayContaining([
        'fd',
        'full',
        'mqueue',
        'null',
        'ptmx',
        'pts',
        'random',
        'shm',
        'stderr',
        'stdin',
        'stdout',
        'tty',
        'urandom',
        'zero',
      ]),
      'readlink /dev/fd': '/proc/self/fd',
      'readlink /dev/stdin': '/proc/self/fd/0',
      'readlink /dev/stdout': '/proc/self/fd/1',
      'readlink /dev/stderr': '/proc/self/fd/2',
      'readlink /dev/ptmx': 'pts/ptmx',
      'open /dev/null rw': 'ok',
      'open /dev/ptmx rw': 'ok',
      'read /proc/self/cgroup': expect.stringMatching(/^0::\/$/m),
      'read /sys/fs/cgroup/cgroup.procs': '1\n',
    },
  },
  {
    name: 'is writable, or read-only but for what is mounted',
    field: 'root.readonly',
    config: { root: { readonly: true }, mounts: [tmpfs('/tmp')] },
    commands: [
      'create /file x',
      'mkdir /folder',
      'create /tmp/file x',
      'mountinfo /',
      'chmod /etc 777',
      'create /dev/shm/y z',
    ],
    finds: {
      'create /file x': 'EROFS',
      'mkdir /folder': 'EROFS',
      'create /tmp/file x': 'ok',
      'mountinfo /': { options: expect.arrayContaining(['ro']) },
      'chmod /etc 777': 'EROFS',
      'create /dev/shm/y z': 'ok',
    },
  },
  {
    name: 'is all that there is, below / and above it',
    field: 'root.path',
    commands: ['ls /', 'ls /..', 'ls /proc/1/root', 'create /file x', 'mountinfo /', 'mounts'],
    finds: {
      'ls /': ['bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp'],
      'ls /..': ['bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp'],
      'ls /proc/1/root': ['bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp'],
      'create /file x': 'ok',
      'mountinfo /': { options: expect.arrayContaining(['rw']) },
      mounts: expect.toSatisfy((points: string[]) => points.filter((point) => point === '/').length === 1),
    },
  },
  {
    name: 'options of a file system’s mount',
    field: 'mounts.options',
    config: {
      mounts: [
        ...Object.keys(FLAGS).map((flag) => tmpfs(`/run/${flag}`, flag)),
        tmpfs('/run/data', 'size=1m', 'mode=1700', 'uid=7', 'gid=8', 'nr_inodes=100'),
        tmpfs('/run/sync', 'sync'),
        tmpfs('/run/dirsync', 'dirsync'),
      ],
    },
    commands: [
      ...Object.keys(FLAGS).map((flag) => `mountinfo /run/${flag}`),
      ...['data', 'sync', 'dirsync'].map((name) => `mountinfo /run/${name}`),
      'stat /run/data',
    ],
    finds: {
      ...Object.fromEntries(
        Object.entries(FLAGS).map(([flag, options]) => [`mountinfo /run/${flag}`, { type: 'tmpfs', options }]),
      ),
      'mountinfo /run/data': {
        super: expect.arrayContaining(['size=1024k', 'mode=1700', 'uid=7', 'gid=8', 'nr_inodes=100']),
      },
      'mountinfo /run/sync': { super: expect.arrayContaining(['sync']) },
      'mountinfo /run/dirsync': { super: expect.arrayContaining(['dirsync']) },
      'stat /run/data': { mode: '1700', uid: 7, gid: 8 },
    },
  },
  {
    name: 'of two options that contradict each other the last counts',
    field: 'mounts.options',
    config: { mounts: [tmpfs('/run/last', 'ro', 'nosuid', 'suid', 'rw')] },
    commands: ['mountinfo /run/last'],
    finds: { 'mountinfo /run/last': { options: ['relatime', 'rw'] } },
    differs: {
      crun: { reason: 'adds them up', finds: { 'mountinfo /run/last': { options: ['nosuid', 'relatime', 'ro'] } } },
    },
  },
  {
    name: 'defaults are what there is without options',
    field: 'mounts.options',
    config: { mounts: [tmpfs('/run/defaults', 'defaults')] },
    commands: ['mountinfo /run/defaults'],
    finds: { 'mountinfo /run/defaults': { type: 'tmpfs', options: ['relatime', 'rw'] } },
    differs: { runc: { reason: 'versions before 1.2 hand the word to the file system', refused: /invalid argument/ } },
  },
  {
    name: 'folders and files of the outside, with their options',
    field: 'mounts.options',
    endToEnd: true,
    prepare: fillVolume,
    config: ({ inside }) => ({
      mounts: [
        bind('/run/plain', inside.volume),
        bind('/run/ro', inside.volume, 'ro'),
        bind('/run/strict', inside.volume, 'nosuid', 'nodev', 'noexec', 'noatime'),
        bind('/run/file', `${inside.volume}/file`, 'ro'),
        bind('/run/recursive', inside.volume, 'rbind'),
        bind('/made/for/it', inside.volume),
      ],
    }),
    commands: [
      'read /run/plain/file',
      'create /run/plain/new x',
      'create /run/ro/new x',
      'mountinfo /run/ro',
      'mountinfo /run/strict',
      'mountinfo /run/file',
      'read /run/file',
      'write /run/file x',
      'read /run/recursive/new',
      'read /made/for/it/new',
      'stat /made/for',
    ],
    finds: {
      'read /run/plain/file': 'of the volume',
      'create /run/plain/new x': 'ok',
      'create /run/ro/new x': 'EROFS',
      'mountinfo /run/ro': { options: expect.arrayContaining(['ro']) },
      'mountinfo /run/strict': { options: expect.arrayContaining(['noatime', 'nodev', 'noexec', 'nosuid', 'rw']) },
      'mountinfo /run/file': { options: expect.arrayContaining(['ro']) },
      'read /run/file': 'of the volume',
      'write /run/file x': 'EROFS',
      'read /run/recursive/new': 'x',
      'read /made/for/it/new': 'x',
      'stat /made/for': { type: 'directory', uid: 0, gid: 0 },
    },
  },
  {
    name: 'the kernel keeps what the options forbid',
    field: 'mounts.options',
    prepare: ({ volume }) => copyFileSync(PROBE, join(volume, 'probe')),
    config: ({ inside }) => ({
      process: { capabilities: capabilities('CAP_MKNOD', 'CAP_DAC_OVERRIDE') },
      mounts: [
        tmpfs('/run/nodev', 'nodev'),
        bind('/run/noexec', inside.volume, 'noexec'),
        bind('/run/exec', inside.volume),
      ],
    }),
    commands: [
      'mknod /run/nodev/null c 1 3',
      'open /run/nodev/null r',
      'run /run/noexec/probe cwd',
      'run /run/exec/probe cwd',
    ],
    finds: {
      'mknod /run/nodev/null c 1 3': 'ok',
      'open /run/nodev/null r': 'EACCES',
      'run /run/noexec/probe cwd': 'exec: EACCES',
      'run /run/exec/probe cwd': { cwd: '/' },
    },
  },
  {
    name: 'propagation of each mount',
    field: 'mounts.options',
    prepare: fillVolume,
    config: ({ inside }) => ({
      mounts: [
        bind('/run/none', inside.volume),
        bind('/run/private', inside.volume, 'private'),
        bind('/run/rprivate', inside.volume, 'rprivate'),
        bind('/run/shared', inside.volume, 'shared'),
        bind('/run/rshared', inside.volume, 'rshared'),
        bind('/run/unbindable', inside.volume, 'unbindable'),
      ],
    }),
    commands: ['none', 'private', 'rprivate', 'shared', 'rshared', 'unbindable'].map(
      (name) => `mountinfo /run/${name}`,
    ),
    finds: {
      'mountinfo /run/private': { propagation: [] },
      'mountinfo /run/rprivate': { propagation: [] },
      'mountinfo /run/shared': propagates('shared'),
      'mountinfo /run/rshared': propagates('shared'),
      'mountinfo /run/unbindable': { propagation: ['unbindable'] },
    },
    differs: { crun: { reason: 'wants the type none or an rbind with these options', skipped: true } },
  },
  {
    name: 'options for a whole tree of mounts',
    field: 'mounts.options',
    prepare: fillVolume,
    config: {
      mounts: [
        tmpfs('/run/tree'),
        tmpfs('/run/tree/below'),
        {
          destination: '/run/copy',
          type: 'none',
          source: '/run/tree',
          options: ['rbind', 'rro', 'rnosuid', 'rnodev', 'rnoexec'],
        },
      ],
    },
    commands: ['cwd'],
    refused: /run\/tree|no such file/i,
    differs: { crun: { reason: 'reads sources inside its new mount namespace', skipped: true } },
  },
  {
    name: 'recursive options',
    field: 'mounts.options',
    prepare: fillVolume,
    config: ({ inside }) => ({
      mounts: [
        {
          destination: '/run/copy',
          type: 'none',
          source: inside.volume,
          options: ['rbind', 'rro', 'rnosuid', 'rnodev', 'rnoexec'],
        },
      ],
    }),
    commands: ['mountinfo /run/copy', 'create /run/copy/x y'],
    finds: {
      'mountinfo /run/copy': { options: expect.arrayContaining(['nodev', 'noexec', 'nosuid', 'ro']) },
      'create /run/copy/x y': 'EROFS',
    },
  },
  {
    name: 'an option that is none is refused by the kernel',
    field: 'mounts.options',
    config: { mounts: [tmpfs('/run/x', 'nosuchoption=1')] },
    commands: ['cwd'],
    refused: /invalid argument|Invalid argument|EINVAL/,
  },
  {
    name: 'a file system that there is not is refused',
    field: 'mounts.type',
    config: { mounts: [{ destination: '/run/x', type: 'nosuchfs', source: 'x' }] },
    commands: ['cwd'],
    refused: /no such device|No such device|ENODEV/,
  },
  {
    name: 'a source that is not there is refused',
    field: 'mounts.source',
    config: ({ inside }) => ({ mounts: [bind('/run/x', `${inside.volume}/nosuch`)] }),
    commands: ['cwd'],
    refused: /nosuch/,
  },
  {
    name: 'are made in their order, over each other',
    field: 'mounts',
    prepare: fillVolume,
    config: ({ inside }) => ({
      mounts: [
        bind('/run/a', inside.volume),
        tmpfs('/run/a', 'mode=700'),
        tmpfs('/run/a/b', 'mode=711'),
        bind('/run/c', inside.volume),
      ],
    }),
    commands: ['ls /run/a', 'stat /run/a', 'stat /run/a/b', 'mounts', 'ls /run/c'],
    finds: {
      'ls /run/a': ['b'],
      'stat /run/a': { mode: '0700' },
      'stat /run/a/b': { mode: '0711' },
      mounts: expect.arrayContaining(['/run/a', '/run/a/b', '/run/c']),
      'ls /run/c': ['below', 'file'],
    },
  },
  {
    name: 'tmpcopyup begins with what was there',
    field: 'mounts.options',
    prepare: ({ rootfs }) => {
      mkdirSync(join(rootfs, 'data/deep'), { recursive: true });
      writeFileSync(join(rootfs, 'data/file'), 'copied');
      writeFileSync(join(rootfs, 'data/deep/file'), 'deep');
      chownSync(join(rootfs, 'data/file'), 12, 34);
      symlinkSync('file', join(rootfs, 'data/link'));
    },
    config: { root: { readonly: true }, mounts: [tmpfs('/data', 'tmpcopyup')] },
    commands: [
      'mountinfo /data',
      'read /data/file',
      'stat /data/file',
      'read /data/deep/file',
      'readlink /data/link',
      'create /data/new x',
    ],
    finds: {
      'mountinfo /data': { type: 'tmpfs' },
      'read /data/file': 'copied',
      'stat /data/file': { uid: 12, gid: 34 },
      'read /data/deep/file': 'deep',
      'readlink /data/link': 'file',
      'create /data/new x': 'ok',
    },
  },
  {
    name: 'are found through links of the root file system',
    field: 'mounts.destination',
    prepare: ({ rootfs, volume }) => {
      fillVolume({ volume } as Place);
      mkdirSync(join(rootfs, 'real'));
      symlinkSync('/real', join(rootfs, 'link'));
      symlinkSync('nowhere/yet', join(rootfs, 'dangling'));
    },
    config: ({ inside }) => ({
      mounts: [bind('/link/inner', inside.volume), tmpfs('/dangling', 'mode=711')],
    }),
    commands: ['read /real/inner/file', 'stat /nowhere/yet', 'readlink /dangling'],
    finds: {
      'read /real/inner/file': 'of the volume',
      'stat /nowhere/yet': { type: 'directory', mode: '0711' },
      'readlink /dangling': 'nowhere/yet',
    },
    differs: { crun: { reason: 'makes nothing by way of a link that leads nowhere', refused: /dangling/ } },
  },
  {
    name: 'cgroups of another namespace are shown at their place',
    field: 'mounts.type',
    config: { linux: { namespaces: namespaces('pid', 'network', 'ipc', 'uts', 'mount') } },
    commands: ['mountinfo /sys/fs/cgroup', 'create /sys/fs/cgroup/x y'],
    finds: {
      'mountinfo /sys/fs/cgroup': { type: 'cgroup2', root: expect.stringMatching(/./) },
      'create /sys/fs/cgroup/x y': 'EROFS',
    },
  },
  ...(['private', 'slave', 'shared', 'unbindable'] as const).map(
    (propagation): Case => ({
      name: `${propagation} is how the mount of / is`,
      field: 'linux.rootfsPropagation',
      config: { linux: { rootfsPropagation: propagation } },
      commands: ['mountinfo /'],
      finds: {
        'mountinfo /': {
          private: { propagation: [] },
          slave: propagates(),
          shared: propagates('shared'),
          unbindable: { propagation: ['unbindable'] },
        }[propagation],
      },
      differs: {
        runc: { reason: 'sets it for the mounts around the root only', finds: { 'mountinfo /': { propagation: [] } } },
      },
    }),
  ),
  {
    name: 'a mount with mappings shows its files as another’s',
    field: 'mounts.uidMappings',
    prepare: ({ volume }) => {
      writeFileSync(join(volume, 'file'), 'x');
      chownSync(join(volume, 'file'), 1000, 1000);
    },
    config: ({ inside }) => ({
      mounts: [
        {
          ...bind('/volume', inside.volume),
          uidMappings: [{ containerID: 1000, hostID: 2000, size: 10 }],
          gidMappings: [{ containerID: 1000, hostID: 3000, size: 10 }],
        },
      ],
    }),
    commands: ['stat /volume/file'],
    finds: { 'stat /volume/file': { uid: 2000, gid: 3000 } },
    differs: SINCE_1_2,
  },
];
