// config-linux.md: masked and read-only paths, devices, the device filter, kernel parameters.
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Case } from '../case.ts';
import { capabilities, namespaces } from '../config.ts';

const DENY_ALL = { allow: false, access: 'rwm' };

export const protectionCases: readonly Case[] = [
  {
    name: 'files read as empty, folders are empty, and what is not there is no error',
    field: 'linux.maskedPaths',
    prepare: ({ rootfs }) => mkdirSync(join(rootfs, 'etc/secret/deep'), { recursive: true }),
    config: {
      linux: {
        maskedPaths: ['/proc/kcore', '/proc/cmdline', '/sys/firmware', '/etc/secret', '/etc/passwd', '/nosuch'],
      },
    },
    commands: [
      'read /proc/kcore',
      'read /proc/cmdline',
      'read /etc/passwd',
      'ls /etc/secret',
      'mkdir /etc/secret/x',
      'stat /proc/cmdline',
      'mountinfo /etc/secret',
    ],
    finds: {
      // Not every kernel has it.
      'read /proc/kcore': expect.stringMatching(/^(ENOENT)?$/),
      'read /proc/cmdline': '',
      'read /etc/passwd': '',
      'ls /etc/secret': [],
      'mkdir /etc/secret/x': 'EROFS',
      'stat /proc/cmdline': { type: 'character', device: '1:3' },
      'mountinfo /etc/secret': { type: 'tmpfs', options: expect.arrayContaining(['ro']) },
    },
  },
  {
    name: 'can be read and not written, and what is not there is no error',
    field: 'linux.readonlyPaths',
    config: { linux: { readonlyPaths: ['/proc/sys', '/proc/sysrq-trigger', '/etc', '/nosuch'] } },
    commands: [
      'write /proc/sys/kernel/domainname x',
      'write /proc/sysrq-trigger h',
      'create /etc/file x',
      'read /proc/sys/kernel/hostname',
      'mountinfo /proc/sys',
      'mountinfo /etc',
      'create /tmp/file x',
    ],
    finds: {
      'write /proc/sys/kernel/domainname x': 'EROFS',
      'write /proc/sysrq-trigger h': expect.stringMatching(/EROFS|ENOENT/),
      'create /etc/file x': 'EROFS',
      'read /proc/sys/kernel/hostname': 'box\n',
      'mountinfo /proc/sys': { type: 'proc', options: expect.arrayContaining(['ro']) },
      'mountinfo /etc': { options: expect.arrayContaining(['ro']) },
      'create /tmp/file x': 'ok',
    },
  },
  {
    name: 'nodes of every type, with mode and owner',
    field: 'linux.devices',
    config: {
      linux: {
        devices: [
          { path: '/dev/net/tun', type: 'c', major: 10, minor: 200, fileMode: 0o600, uid: 1000, gid: 7 },
          { path: '/dev/disk', type: 'b', major: 7, minor: 9, fileMode: 0o640, uid: 0, gid: 6 },
          { path: '/dev/pipe', type: 'p', fileMode: 0o622 },
          { path: '/dev/unbuffered', type: 'u', major: 1, minor: 11 },
        ],
      },
    },
    commands: ['net/tun', 'disk', 'pipe', 'unbuffered'].map((name) => `stat /dev/${name}`),
    finds: {
      'stat /dev/net/tun': { type: 'character', device: '10:200', mode: '0600', uid: 1000, gid: 7 },
      'stat /dev/disk': { type: 'block', device: '7:9', mode: '0640', uid: 0, gid: 6 },
      'stat /dev/pipe': { type: 'fifo', mode: '0622' },
      'stat /dev/unbuffered': { type: 'character', device: '1:11' },
    },
  },
  {
    name: 'a type that there is not is refused',
    field: 'linux.devices',
    config: { linux: { devices: [{ path: '/dev/x', type: 'x', major: 1, minor: 3 }] } },
    commands: ['cwd'],
    refused: /type|device|x/,
    differs: { crun: { reason: 'passes it over', finds: { cwd: '/' } } },
  },
  {
    name: 'all is forbidden but the usual devices',
    field: 'linux.resources.devices',
    config: {
      process: { capabilities: capabilities('CAP_MKNOD') },
      linux: { resources: { devices: [DENY_ALL] } },
    },
    commands: [
      ...['null', 'zero', 'full', 'random', 'urandom', 'ptmx'].map((name) => `open /dev/${name} r`),
      'mknod /tmp/memory c 1 1',
      'open /tmp/memory r',
      'mknod /tmp/messages c 1 11',
      'open /tmp/messages r',
      'mknod /tmp/disk b 7 0',
      'open /tmp/disk r',
      'mknod /tmp/null c 1 3',
      'open /tmp/null rw',
    ],
    finds: {
      ...Object.fromEntries(
        ['null', 'zero', 'full', 'random', 'urandom', 'ptmx'].map((name) => [`open /dev/${name} r`, 'ok']),
      ),
      // runc and crun let every node be made, as engines always did, and none be opened.
      'mknod /tmp/memory c 1 1': 'ok',
      'open /tmp/memory r': 'EPERM',
      'mknod /tmp/messages c 1 11': 'ok',
      'open /tmp/messages r': 'EPERM',
      'mknod /tmp/disk b 7 0': 'ok',
      'open /tmp/disk r': 'EPERM',
      'mknod /tmp/null c 1 3': 'ok',
      'open /tmp/null rw': 'ok',
    },
  },
  {
    name: 'the same holds where there are no rules',
    field: 'linux.resources.devices',
    config: {
      process: { capabilities: capabilities('CAP_MKNOD') },
      linux: { resources: undefined },
    },
    commands: [
      'open /dev/null rw',
      'mknod /tmp/memory c 1 1',
      'open /tmp/memory r',
      'mknod /tmp/disk b 254 0',
      'open /tmp/disk r',
    ],
    finds: { 'open /dev/null rw': 'ok', 'open /tmp/memory r': 'EPERM', 'open /tmp/disk r': 'EPERM' },
  },
  {
    name: 'a rule lets one device be read, and no more',
    field: 'linux.resources.devices',
    config: {
      process: { capabilities: capabilities('CAP_MKNOD', 'CAP_SYSLOG') },
      linux: {
        devices: [{ path: '/dev/kmsg', type: 'c', major: 1, minor: 11, fileMode: 0o666 }],
        resources: { devices: [DENY_ALL, { allow: true, type: 'c', major: 1, minor: 11, access: 'r' }] },
      },
    },
    commands: [
      'open /dev/kmsg r',
      'open /dev/kmsg w',
      'open /dev/kmsg rw',
      'mknod /tmp/port c 1 4',
      'open /tmp/port r',
    ],
    finds: {
      'open /dev/kmsg r': 'ok',
      'open /dev/kmsg w': 'EPERM',
      'open /dev/kmsg rw': 'EPERM',
      'open /tmp/port r': 'EPERM',
    },
  },
  {
    name: 'rules for a whole major number, and later ones before earlier ones',
    field: 'linux.resources.devices',
    config: {
      process: { capabilities: capabilities('CAP_MKNOD') },
      linux: {
        resources: {
          devices: [
            DENY_ALL,
            { allow: true, type: 'c', major: 1, access: 'rwm' },
            { allow: false, type: 'c', major: 1, minor: 11, access: 'rwm' },
          ],
        },
      },
    },
    commands: [
      'mknod /tmp/console c 1 11',
      'open /tmp/console r',
      'mknod /tmp/zero c 1 5',
      'open /tmp/zero r',
      'mknod /tmp/tty0 c 4 0',
      'open /tmp/tty0 r',
    ],
    finds: {
      'open /tmp/console r': expect.stringMatching(/EPERM|ENOENT/),
      'mknod /tmp/zero c 1 5': 'ok',
      'open /tmp/zero r': 'ok',
      'open /tmp/tty0 r': 'EPERM',
    },
    differs: { runc: { reason: 'cannot take one device out of an allowed major number', refused: /punch hole/ } },
  },
  {
    name: 'everything is open where the rules say so',
    field: 'linux.resources.devices',
    config: {
      process: { capabilities: capabilities('CAP_MKNOD', 'CAP_SYSLOG') },
      linux: { resources: { devices: [{ allow: true, access: 'rwm' }] } },
    },
    commands: ['mknod /tmp/messages c 1 11', 'open /tmp/messages r'],
    finds: { 'open /tmp/messages r': 'ok' },
  },
  {
    name: 'parameters of its ipc and network namespaces',
    field: 'linux.sysctl',
    config: {
      linux: {
        sysctl: {
          'kernel.msgmax': '4096',
          'kernel.shm_rmid_forced': '1',
          'fs.mqueue.msg_max': '20',
          'net.ipv4.ip_default_ttl': '77',
        },
      },
    },
    commands: ['msgmax', 'shm_rmid_forced']
      .map((name) => `read /proc/sys/kernel/${name}`)
      .concat('read /proc/sys/fs/mqueue/msg_max', 'read /proc/sys/net/ipv4/ip_default_ttl'),
    finds: {
      'read /proc/sys/kernel/msgmax': '4096\n',
      'read /proc/sys/kernel/shm_rmid_forced': '1\n',
      'read /proc/sys/fs/mqueue/msg_max': '20\n',
      'read /proc/sys/net/ipv4/ip_default_ttl': '77\n',
    },
  },
  ...['vm.swappiness', 'kernel.pid_max', 'kernel.core_pattern', 'kernel.hostname', 'net/../kernel/pid_max'].map(
    (name): Case => ({
      name: `${name} is not the container’s to set`,
      field: 'linux.sysctl',
      config: { linux: { sysctl: { [name]: '1' } } },
      commands: ['cwd'],
      refused: /sysctl|namespace|no such file/i,
    }),
  ),
  {
    name: 'parameters of a namespace that it shares are refused',
    field: 'linux.sysctl',
    config: {
      linux: { namespaces: namespaces('pid', 'mount', 'uts', 'network'), sysctl: { 'kernel.msgmax': '4096' } },
    },
    commands: ['cwd'],
    refused: /kernel\.msgmax|ipc/,
  },
  {
    name: 'a value that the kernel does not take is told of',
    field: 'linux.sysctl',
    config: { linux: { sysctl: { 'net.ipv4.ip_default_ttl': 'nonsense' } } },
    commands: ['cwd'],
    refused: /invalid argument|Invalid argument|EINVAL/,
  },
  {
    name: 'links of the root file system do not lead them elsewhere',
    field: 'linux.maskedPaths',
    prepare: ({ rootfs }) => {
      mkdirSync(join(rootfs, 'real'));
      symlinkSync('/real', join(rootfs, 'link'));
    },
    config: { linux: { maskedPaths: ['/link'], readonlyPaths: ['/link'] } },
    commands: ['mountinfo /real', 'readlink /link'],
    finds: { 'mountinfo /real': { type: 'tmpfs' }, 'readlink /link': '/real' },
  },
];
