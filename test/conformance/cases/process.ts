// config.md, "Process": the program, its user and its streams.
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Case } from '../case.ts';

export const processCases: readonly Case[] = [
  {
    name: 'the program has its arguments, environment, working directory and streams, and nothing else',
    field: 'process.args',
    endToEnd: true,
    config: {
      process: { cwd: '/etc', env: ['PATH=/bin', 'GREETING=hello world', 'EMPTY=', 'HOME=/home/x'] },
    },
    commands: [
      'args',
      'env',
      'cwd',
      'process',
      'descriptors',
      'status SigBlk',
      'status SigIgn',
      'status NSpid',
      'input',
    ],
    input: 'from the caller',
    finds: {
      args: expect.arrayContaining(['/bin/probe', 'args', 'status NSpid']),
      env: ['PATH=/bin', 'GREETING=hello world', 'EMPTY=', 'HOME=/home/x'],
      cwd: '/etc',
      process: { pid: 1, parent: 0, session: 1, group: 1 },
      descriptors: expect.toSatisfy((found: object) => Object.keys(found).sort().join() === '0,1,2'),
      'status SigBlk': '0000000000000000',
      'status SigIgn': '0000000000000000',
      'status NSpid': '1',
      input: 'from the caller',
    },
  },
  {
    name: 'a program without a slash is looked for on the PATH of the environment; the name stays as it was given',
    field: 'process.args',
    prepare: ({ rootfs }) => {
      mkdirSync(join(rootfs, 'opt'));
      symlinkSync('/bin/probe', join(rootfs, 'opt/look'));
    },
    config: { process: { args: ['look', 'args'], env: ['PATH=/nosuch:/opt:/bin'] } },
    commands: [],
    finds: { args: ['look', 'args'] },
  },
  {
    name: 'a program that is not there is told of, and there is no container',
    field: 'process.args',
    config: { process: { args: ['nosuch'] } },
    commands: [],
    refused: /"?nosuch"?.*not found in \$PATH/,
  },
  {
    name: 'a program that may not be executed is told of',
    field: 'process.args',
    prepare: ({ rootfs }) => {
      writeFileSync(join(rootfs, 'etc/plain'), 'text');
    },
    config: { process: { args: ['/etc/plain'] } },
    commands: [],
    refused: /permission denied|not executable/i,
  },
  {
    name: 'a working directory that is not there is made',
    field: 'process.cwd',
    config: { process: { cwd: '/made/on/demand' } },
    commands: ['cwd', 'stat .'],
    finds: { cwd: '/made/on/demand', 'stat .': { type: 'directory', mode: '0755', uid: 0, gid: 0 } },
  },
  {
    name: 'a relative working directory is refused',
    field: 'process.cwd',
    config: { process: { cwd: 'etc' } },
    commands: ['cwd'],
    refused: /cwd/i,
    differs: { crun: { reason: 'takes it from the root', finds: { cwd: '/etc' } } },
  },
  {
    name: 'HOME comes from /etc/passwd unless it is set',
    field: 'process.env',
    config: { process: { user: { uid: 1000, gid: 1000 }, env: ['PATH=/bin'] } },
    commands: ['env'],
    finds: { env: ['PATH=/bin', 'HOME=/home/user'] },
  },
  {
    name: 'HOME is / for a user who is not there',
    field: 'process.env',
    config: { process: { user: { uid: 77, gid: 77 }, env: ['PATH=/bin'] } },
    commands: ['env'],
    finds: { env: ['PATH=/bin', 'HOME=/'] },
  },
  {
    name: 'user, groups and mask are those of the configuration',
    field: 'process.user',
    config: {
      process: {
        user: { uid: 1000, gid: 100, additionalGids: [5, 10], umask: 0o077 },
        oomScoreAdj: 300,
        noNewPrivileges: false,
      },
    },
    commands: [
      'ids',
      'read /proc/self/oom_score_adj',
      'no-new-privs',
      'create /tmp/file x',
      'stat /tmp/file',
      'stat /proc/self/fd/1',
    ],
    finds: {
      ids: { uid: [1000, 1000, 1000], gid: [100, 100, 100], groups: [5, 10], umask: '0077' },
      'read /proc/self/oom_score_adj': '300\n',
      'no-new-privs': 0,
      'stat /tmp/file': { mode: '0600', uid: 1000, gid: 100 },
    },
  },
  {
    name: 'root has no further groups and the mask 0022 unless told otherwise',
    field: 'process.user',
    config: { process: { noNewPrivileges: true } },
    commands: ['ids', 'no-new-privs', 'read /proc/self/oom_score_adj', 'status Seccomp'],
    finds: {
      ids: { uid: [0, 0, 0], gid: [0, 0, 0], groups: [], umask: '0022' },
      'no-new-privs': 1,
      'read /proc/self/oom_score_adj': '0\n',
      'status Seccomp': '0',
    },
  },
  {
    name: 'streams can be opened again through /dev/stdout by the user of the process',
    field: 'process.user',
    config: { process: { user: { uid: 1000, gid: 1000 }, capabilities: {} } },
    commands: ['open /dev/stdout w', 'open /dev/stderr w', 'open /dev/stdin r'],
    finds: { 'open /dev/stdout w': 'ok', 'open /dev/stderr w': 'ok', 'open /dev/stdin r': 'ok' },
    differs: { crun: { reason: 'hands on the sockets that its caller gave it, which nobody can open', skipped: true } },
  },
  {
    name: 'the exit status is that of the program',
    field: 'process',
    commands: ['cwd', 'exit 42'],
    status: 42,
    finds: { cwd: '/' },
  },
  {
    name: 'a working directory that is closed to the user is entered before he is',
    field: 'process.cwd',
    prepare: ({ rootfs }) => {
      mkdirSync(join(rootfs, 'closed'));
      chmodSync(join(rootfs, 'closed'), 0o700);
    },
    config: { process: { cwd: '/closed', user: { uid: 1000, gid: 1000 }, capabilities: {} } },
    commands: ['cwd', 'ls /closed'],
    finds: { cwd: '/closed', 'ls /closed': 'EACCES' },
  },
];
