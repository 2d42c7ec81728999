// config-linux.md, "Namespaces", "User namespace mappings", "Offset for Time Namespace"; config.md, "Hostname".
import { chownSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Case } from '../case.ts';
import { capabilities, containerConfig, namespaces, type Parts, USUAL_NAMESPACES } from '../config.ts';
import type { Engine } from '../engine.ts';
import type { Place } from '../place.ts';
import { reportOf } from '../verify.ts';

type Ids = Readonly<Record<string, string>>;

/** The namespaces of a new container's program. */
async function namespacesOf(engine: Engine, parts: Parts): Promise<Ids> {
  const ended = await engine.run(engine.place(), containerConfig(['/bin/probe', 'namespaces'], parts));
  expect(ended).toMatchObject({ status: 0 });
  return (reportOf(ended) as { namespaces: Ids }).namespaces;
}

/** Everything in the root file system belongs to the root of a user namespace that begins at `first`. */
function giveTo(first: number): (place: Place) => void {
  return ({ rootfs, volume }) => {
    const paths = ['.', 'bin', 'bin/probe', 'dev', 'etc', 'etc/passwd', 'proc', 'run', 'sys', 'tmp'];
    for (const path of [...paths.map((name) => join(rootfs, name)), volume]) chownSync(path, first, first);
  };
}

const MAPPINGS = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
const USER_NAMESPACE = {
  namespaces: namespaces(...USUAL_NAMESPACES, 'user'),
  uidMappings: MAPPINGS,
  gidMappings: MAPPINGS,
};

/** Of time namespaces runc 1.1 knows nothing. */
const NO_TIME = { runc: { reason: 'versions before 1.2 do not know time namespaces', skipped: true } } as const;

export const namespaceCases: readonly Case[] = [
  {
    name: 'what is listed is new, and what is not is the runtime’s own',
    field: 'linux.namespaces',
    async scenario(engine) {
      const some = { linux: { namespaces: namespaces('pid', 'mount'), sysctl: undefined }, hostname: '' };
      const one = await namespacesOf(engine, some);
      const other = await namespacesOf(engine, some);
      const all = await namespacesOf(engine, {});
      for (const kind of ['cgroup', 'ipc', 'uts', 'user', 'time']) expect(other).toHaveProperty(kind, one[kind]);
      for (const kind of ['cgroup', 'ipc', 'uts']) expect(all[kind]).not.toBe(one[kind]);
      for (const kind of ['user', 'time']) expect(all[kind]).toBe(one[kind]);
      // The numbers of namespaces that have ended are given again; those of two containers at once are in other cases.
      expect(Object.keys(all).sort()).toEqual(['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'user', 'uts']);
    },
  },
  {
    name: 'two containers share none of theirs',
    field: 'linux.namespaces',
    async scenario(engine) {
      const place = engine.place();
      const first = await engine.start(place, containerConfig(['/bin/probe', 'await-signal'], {}));
      const process = { args: ['/bin/probe', 'namespaces'], cwd: '/', user: { uid: 0, gid: 0 } };
      const inFirst = (reportOf(await first.exec(process)) as { namespaces: Ids }).namespaces;
      const second = await namespacesOf(engine, {});
      await first.remove();
      for (const kind of ['cgroup', 'ipc', 'uts', 'mnt', 'pid']) expect(second[kind]).not.toBe(inFirst[kind]);
    },
  },
  {
    name: 'a path joins the namespace that is there',
    field: 'linux.namespaces.path',
    async scenario(engine) {
      const first = await engine.start(engine.place(), containerConfig(['/bin/probe', 'await-signal'], {}));
      const process = { args: ['/bin/probe', 'namespaces'], cwd: '/', user: { uid: 0, gid: 0 } };
      const inFirst = (reportOf(await first.exec(process)) as { namespaces: Ids }).namespaces;
      const path = (name: string): string => `/proc/${first.pid}/ns/${name}`;
      const joined = [
        { type: 'ipc', path: path('ipc') },
        { type: 'uts', path: path('uts') },
        { type: 'pid', path: path('pid') },
        { type: 'network', path: path('net') },
      ];
      const parts = { linux: { namespaces: [...namespaces('mount', 'cgroup'), ...joined] }, hostname: '' };
      const commands = ['namespaces', 'names', 'process', 'read /proc/1/comm'];
      const ended = await engine.run(engine.place(), containerConfig(['/bin/probe', ...commands], parts));
      await first.remove();
      expect({ ...ended, found: reportOf(ended) }).toMatchObject({
        status: 0,
        found: {
          namespaces: { ipc: inFirst['ipc'], uts: inFirst['uts'], pid: inFirst['pid'], net: inFirst['net'] },
          names: { hostname: 'box' },
          process: { pid: expect.toSatisfy((pid: number) => pid > 1) },
          'read /proc/1/comm': 'probe\n',
        },
      });
    },
  },
  {
    name: 'a path that is no namespace of that kind is refused',
    field: 'linux.namespaces.path',
    config: {
      linux: { namespaces: [...namespaces('pid', 'mount', 'uts'), { type: 'ipc', path: '/proc/self/ns/uts' }] },
    },
    commands: ['cwd'],
    refused: /namespace|setns|invalid argument|Invalid argument/i,
  },
  {
    name: 'a path that is not there is refused',
    field: 'linux.namespaces.path',
    config: { linux: { namespaces: [...namespaces('pid', 'mount', 'uts'), { type: 'ipc', path: '/nosuch/ns' }] } },
    commands: ['cwd'],
    refused: /nosuch/,
  },
  {
    name: 'the same kind twice is refused',
    field: 'linux.namespaces',
    config: { linux: { namespaces: namespaces(...USUAL_NAMESPACES, 'ipc') } },
    commands: ['cwd'],
    refused: /ipc|namespace/i,
  },
  {
    name: 'a kind that there is not is refused',
    field: 'linux.namespaces',
    config: { linux: { namespaces: namespaces('pid', 'mount', 'nosuch') } },
    commands: ['cwd'],
    refused: /nosuch|namespace/,
  },
  {
    name: 'names are those of the configuration',
    field: 'hostname',
    config: { hostname: 'conformance', domainname: 'example.org' },
    commands: ['names', 'read /proc/sys/kernel/hostname'],
    finds: {
      names: { hostname: 'conformance', domainname: 'example.org' },
      'read /proc/sys/kernel/hostname': 'conformance\n',
    },
    differs: {
      runc: { reason: 'versions before 1.2 do not know domainname', finds: { names: { hostname: 'conformance' } } },
    },
  },
  {
    name: 'a hostname without a uts namespace is refused',
    field: 'hostname',
    config: { hostname: 'conformance', linux: { namespaces: namespaces('pid', 'mount', 'ipc') } },
    commands: ['names'],
    refused: /uts|hostname|UTS/,
  },
  {
    name: 'a network namespace of its own has the loopback device, and it is up',
    field: 'linux.namespaces',
    commands: ['read /proc/net/dev', 'bind 8080'],
    finds: { 'read /proc/net/dev': expect.stringMatching(/^[^:]*lo:[^:]*$/), 'bind 8080': 'ok' },
  },
  {
    name: 'root of a user namespace is the mapped user outside, with all rights inside',
    field: 'linux.uidMappings',
    prepare: giveTo(100_000),
    config: ({ inside }) => ({
      linux: USER_NAMESPACE,
      process: { capabilities: capabilities('CAP_CHOWN', 'CAP_SETUID', 'CAP_SETGID', 'CAP_SYS_ADMIN', 'CAP_MKNOD') },
      mounts: [{ destination: '/volume', type: 'bind', source: inside.volume, options: ['bind'] }],
    }),
    commands: [
      'ids',
      'read /proc/self/uid_map',
      'read /proc/self/gid_map',
      'read /proc/self/setgroups',
      'stat /etc/passwd',
      'create /volume/file x',
      'stat /volume/file',
      'open /dev/null rw',
      'mknod /tmp/zero c 1 5',
      'caps',
      'names',
      'mount tmpfs /tmp tmpfs',
    ],
    finds: {
      ids: { uid: [0, 0, 0], gid: [0, 0, 0] },
      'read /proc/self/uid_map': expect.stringMatching(/^ +0 +100000 +65536\n$/),
      'read /proc/self/gid_map': expect.stringMatching(/^ +0 +100000 +65536\n$/),
      'read /proc/self/setgroups': 'allow\n',
      'stat /etc/passwd': { uid: 0, gid: 0 },
      'create /volume/file x': 'ok',
      'stat /volume/file': { uid: 0, gid: 0 },
      'open /dev/null rw': 'ok',
      'mknod /tmp/zero c 1 5': 'EPERM',
      caps: { effective: ['CAP_CHOWN', 'CAP_SETGID', 'CAP_SETUID', 'CAP_SYS_ADMIN', 'CAP_MKNOD'] },
      names: { hostname: 'box' },
      'mount tmpfs /tmp tmpfs': 'ok',
    },
  },
  {
    name: 'another user of a user namespace, with further groups',
    field: 'linux.gidMappings',
    prepare: giveTo(100_000),
    config: {
      linux: USER_NAMESPACE,
      process: { user: { uid: 1000, gid: 1000, additionalGids: [5, 6] } },
    },
    commands: ['ids', 'no-new-privs', 'create /tmp/file x', 'stat /tmp/file'],
    finds: {
      ids: { uid: [1000, 1000, 1000], gid: [1000, 1000, 1000], groups: [5, 6] },
      'create /tmp/file x': 'ok',
      'stat /tmp/file': { uid: 1000, gid: 1000 },
    },
  },
  {
    name: 'limits and the favour of the OOM killer are given from outside of a user namespace',
    field: 'linux.uidMappings',
    prepare: giveTo(100_000),
    config: {
      linux: USER_NAMESPACE,
      process: { rlimits: [{ type: 'RLIMIT_MEMLOCK', soft: 1_000_000, hard: 1_000_000_000 }], oomScoreAdj: -500 },
    },
    commands: ['limits', 'read /proc/self/oom_score_adj'],
    finds: {
      limits: { RLIMIT_MEMLOCK: ['1000000', '1000000000'] },
      'read /proc/self/oom_score_adj': '-500\n',
    },
    differs: { machine: { reason: 'takes CAP_SYS_RESOURCE, which a machine may keep for itself', skipped: true } },
  },
  {
    name: 'a user namespace without mappings is refused',
    field: 'linux.uidMappings',
    config: { linux: { namespaces: namespaces(...USUAL_NAMESPACES, 'user') } },
    commands: ['ids'],
    refused: /mapping|user namespace|userns/i,
    differs: { crun: { reason: 'makes up mappings of its own', skipped: true } },
  },
  {
    name: 'clocks are shifted',
    field: 'linux.timeOffsets',
    config: {
      linux: {
        namespaces: namespaces(...USUAL_NAMESPACES, 'time'),
        timeOffsets: { monotonic: { secs: 1_000_000, nanosecs: 5 }, boottime: { secs: 2_000_000, nanosecs: 7 } },
      },
    },
    commands: ['read /proc/self/timens_offsets', 'seconds MONOTONIC', 'seconds BOOTTIME'],
    finds: {
      'read /proc/self/timens_offsets': expect.stringMatching(/^monotonic +1000000 +5\nboottime +2000000 +7\n$/),
      'seconds MONOTONIC': expect.toSatisfy((seconds: number) => seconds >= 1_000_000),
      'seconds BOOTTIME': expect.toSatisfy((seconds: number) => seconds >= 2_000_000),
    },
    differs: NO_TIME,
  },
  {
    name: 'offsets without a time namespace are refused',
    field: 'linux.timeOffsets',
    config: { linux: { timeOffsets: { monotonic: { secs: 1, nanosecs: 0 } } } },
    commands: ['cwd'],
    refused: /time/i,
    differs: { ...NO_TIME, crun: { reason: 'does not look', skipped: true } },
  },
];
