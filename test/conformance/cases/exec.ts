// runtime.md has no exec; runc's is the model: a process that joins a container with a process object of its own.
import { expect } from 'vitest';
import type { Case } from '../case.ts';
import { capabilities } from '../config.ts';

const BOUND = ['CAP_CHOWN', 'CAP_KILL', 'CAP_SETUID'];

export const execCases: readonly Case[] = [
  {
    name: 'joins every namespace of the container, its cgroup and its root',
    field: 'exec',
    config: { mounts: [{ destination: '/run/mark', type: 'tmpfs', source: 'tmpfs' }] },
    exec: {},
    commands: [
      'namespaces',
      'namespaces 1',
      'process',
      'names',
      'descriptors',
      'ls /',
      'mountinfo /run/mark',
      'read /proc/self/cgroup',
      'read /proc/1/cgroup',
      'ls /proc/1/root',
      'status SigBlk',
      'status SigIgn',
    ],
    finds: {
      namespaces: { pid: expect.stringMatching(/^pid:/) },
      process: { pid: expect.toSatisfy((pid: number) => pid > 1), parent: 0 },
      names: { hostname: 'box' },
      descriptors: expect.toSatisfy((found: object) => Object.keys(found).sort().join() === '0,1,2'),
      'ls /': ['bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp'],
      'mountinfo /run/mark': { type: 'tmpfs' },
      'status SigBlk': '0000000000000000',
      'status SigIgn': '0000000000000000',
    },
  },
  {
    name: 'is in the same namespaces and the same cgroup as the program',
    field: 'exec',
    exec: { capabilities: capabilities('CAP_SYS_PTRACE') },
    config: { process: { capabilities: capabilities('CAP_SYS_PTRACE') } },
    commands: ['namespaces', 'namespaces 1', 'read /proc/self/cgroup', 'read /proc/1/cgroup'],
    finds: {
      namespaces: expect.toSatisfy((found: Record<string, string>) => Object.keys(found).length === 8),
      'read /proc/self/cgroup': expect.stringMatching(/^0::\/$/m),
      'read /proc/1/cgroup': expect.stringMatching(/^0::\/$/m),
    },
  },
  {
    name: 'has the user, rights, limits and environment of its own process object',
    field: 'exec',
    config: {
      process: { capabilities: capabilities(...BOUND), rlimits: [{ type: 'RLIMIT_NOFILE', soft: 100, hard: 1000 }] },
    },
    exec: {
      user: { uid: 1000, gid: 100, additionalGids: [7], umask: 0o027 },
      cwd: '/etc',
      env: ['PATH=/bin', 'A=b', 'HOME=/x'],
      capabilities: {
        bounding: BOUND,
        permitted: ['CAP_KILL'],
        effective: ['CAP_KILL'],
        inheritable: ['CAP_KILL'],
        ambient: ['CAP_KILL'],
      },
      noNewPrivileges: true,
      oomScoreAdj: 500,
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: 50, hard: 500 }],
    },
    commands: ['ids', 'cwd', 'env', 'caps', 'no-new-privs', 'limits'],
    finds: {
      ids: { uid: [1000, 1000, 1000], gid: [100, 100, 100], groups: [7] },
      cwd: '/etc',
      env: ['PATH=/bin', 'A=b', 'HOME=/x'],
      caps: { bounding: BOUND, permitted: ['CAP_KILL'], effective: ['CAP_KILL'], ambient: ['CAP_KILL'] },
      'no-new-privs': 1,
      limits: { RLIMIT_NOFILE: ['50', '500'] },
    },
  },
  {
    name: 'has no rights that its process object does not give',
    field: 'exec',
    config: {
      process: { capabilities: capabilities('CAP_CHOWN', 'CAP_SYS_ADMIN') },
      linux: { maskedPaths: ['/proc/cmdline'] },
    },
    exec: { capabilities: capabilities('CAP_CHOWN') },
    commands: [
      'caps',
      'mount tmpfs /tmp tmpfs',
      'open /dev/null rw',
      'read /proc/cmdline',
      'write /proc/sys/kernel/hostname x',
    ],
    finds: {
      caps: { bounding: ['CAP_CHOWN'], effective: ['CAP_CHOWN'], permitted: ['CAP_CHOWN'] },
      'mount tmpfs /tmp tmpfs': 'EPERM',
      'read /proc/cmdline': '',
      'write /proc/sys/kernel/hostname x': 'EROFS',
    },
  },
  {
    name: 'a program that is not there is told of',
    field: 'exec',
    exec: { args: ['nosuch'] },
    commands: [],
    refused: /nosuch.*not found in \$PATH/,
  },
  {
    name: 'ends with the status of its program',
    field: 'exec',
    exec: {},
    commands: ['exit 7'],
    status: 7,
  },
];
