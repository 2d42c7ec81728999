// config.md, "Linux Process": capabilities, limits, scheduling; what a process may do and how it runs.
import { chmodSync, copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Case } from '../case.ts';
import { capabilities } from '../config.ts';
import type { Place } from '../place.ts';
import { PROBE } from '../probe.ts';

/** A copy of the probe that takes its owner's rights. */
function setuidProbe({ rootfs }: Place): void {
  const path = join(rootfs, 'bin/setuid-probe');
  copyFileSync(PROBE, path);
  chmodSync(path, 0o4755);
}

const GIVEN = ['CAP_CHOWN', 'CAP_KILL', 'CAP_SETUID'];
const SOME = [...GIVEN, 'CAP_SYS_CHROOT'];
const USER = { uid: 1000, gid: 1000 };

export const privilegeCases: readonly Case[] = [
  ...[true, false].map(
    (noNewPrivileges): Case => ({
      name: `root has the sets that it is given${noNewPrivileges ? '' : ', and by execve what bounds them'}`,
      field: 'process.capabilities',
      config: {
        process: {
          noNewPrivileges,
          capabilities: { bounding: SOME, permitted: GIVEN, effective: GIVEN, inheritable: ['CAP_KILL'], ambient: [] },
        },
      },
      commands: ['caps', 'unshare mount'],
      // capabilities(7), "Capabilities and execution of programs by root"; with no_new_privs there is nothing to gain.
      finds: {
        caps: {
          bounding: SOME,
          permitted: noNewPrivileges ? GIVEN : SOME,
          effective: noNewPrivileges ? GIVEN : SOME,
          inheritable: ['CAP_KILL'],
          ambient: [],
        },
        'unshare mount': 'EPERM',
      },
    }),
  ),
  {
    name: 'another user keeps those that are ambient',
    field: 'process.capabilities.ambient',
    config: {
      process: {
        user: USER,
        capabilities: {
          bounding: SOME,
          permitted: SOME,
          effective: SOME,
          inheritable: ['CAP_CHOWN', 'CAP_KILL'],
          ambient: ['CAP_KILL'],
        },
      },
    },
    commands: ['caps'],
    finds: {
      caps: {
        bounding: SOME,
        permitted: ['CAP_KILL'],
        effective: ['CAP_KILL'],
        inheritable: ['CAP_CHOWN', 'CAP_KILL'],
        ambient: ['CAP_KILL'],
      },
    },
  },
  {
    name: 'another user has none without ambient ones',
    field: 'process.capabilities',
    config: { process: { user: USER, capabilities: capabilities(...SOME) } },
    commands: ['caps', 'chown /etc/passwd 1000 1000'],
    finds: {
      caps: { bounding: SOME, permitted: [], effective: [], inheritable: [], ambient: [] },
      'chown /etc/passwd 1000 1000': 'EPERM',
    },
  },
  {
    name: 'none at all, where none are given',
    field: 'process.capabilities',
    config: { process: { capabilities: undefined } },
    commands: ['caps', 'chown /etc/passwd 1000 1000', 'bind 80', 'mknod /tmp/zero c 1 5'],
    finds: {
      caps: { bounding: [], permitted: [], effective: [], inheritable: [], ambient: [] },
      'chown /etc/passwd 1000 1000': 'EPERM',
      'bind 80': 'EACCES',
      'mknod /tmp/zero c 1 5': 'EPERM',
    },
  },
  {
    name: 'one that the kernel does not know is passed over',
    field: 'process.capabilities',
    config: { process: { capabilities: capabilities('CAP_KILL', 'CAP_NO_SUCH') } },
    commands: ['caps'],
    finds: { caps: { bounding: ['CAP_KILL'], effective: ['CAP_KILL'] } },
  },
  {
    name: 'CAP_NET_BIND_SERVICE lets root have a low port',
    field: 'process.capabilities',
    config: { process: { capabilities: capabilities('CAP_NET_BIND_SERVICE') } },
    commands: ['bind 80'],
    finds: { 'bind 80': 'ok' },
  },
  {
    name: 'keeps a setuid program from its owner',
    field: 'process.noNewPrivileges',
    prepare: setuidProbe,
    config: { process: { user: USER, noNewPrivileges: true, capabilities: capabilities(...SOME) } },
    commands: ['run /bin/setuid-probe ids;caps'],
    finds: {
      'run /bin/setuid-probe ids;caps': { ids: { uid: [1000, 1000, 1000] }, caps: { effective: [], permitted: [] } },
    },
  },
  {
    name: 'off, a setuid program gets its owner and the bounding set',
    field: 'process.noNewPrivileges',
    prepare: setuidProbe,
    config: { process: { user: USER, noNewPrivileges: false, capabilities: capabilities(...SOME) } },
    commands: ['run /bin/setuid-probe ids;caps'],
    finds: {
      'run /bin/setuid-probe ids;caps': { ids: { uid: [1000, 0, 0] }, caps: { effective: SOME, bounding: SOME } },
    },
  },
  {
    name: 'limits are set, and others stay alone',
    field: 'process.rlimits',
    config: {
      process: {
        rlimits: [
          { type: 'RLIMIT_NOFILE', soft: 512, hard: 1024 },
          { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
          { type: 'RLIMIT_FSIZE', soft: 1_000_000_000, hard: 5_000_000_000 },
          { type: 'RLIMIT_STACK', soft: 4_194_304, hard: 8_388_608 },
          { type: 'RLIMIT_NPROC', soft: 100, hard: 200 },
          { type: 'RLIMIT_AS', soft: 1_073_741_824, hard: 2_147_483_648 },
          { type: 'RLIMIT_CPU', soft: 100, hard: 1000 },
          { type: 'RLIMIT_DATA', soft: 1_073_741_824, hard: 1_073_741_824 },
          { type: 'RLIMIT_LOCKS', soft: 10, hard: 20 },
          { type: 'RLIMIT_MEMLOCK', soft: 4096, hard: 8192 },
          { type: 'RLIMIT_MSGQUEUE', soft: 1000, hard: 2000 },
          { type: 'RLIMIT_NICE', soft: 0, hard: 0 },
          { type: 'RLIMIT_RSS', soft: 1_000_000, hard: 1_000_000 },
          { type: 'RLIMIT_RTPRIO', soft: 0, hard: 0 },
          { type: 'RLIMIT_RTTIME', soft: 100, hard: 200 },
          { type: 'RLIMIT_SIGPENDING', soft: 30, hard: 40 },
        ],
      },
    },
    commands: ['limits'],
    finds: {
      limits: {
        RLIMIT_NOFILE: ['512', '1024'],
        RLIMIT_CORE: ['0', '0'],
        RLIMIT_FSIZE: ['1000000000', '5000000000'],
        RLIMIT_STACK: ['4194304', '8388608'],
        RLIMIT_NPROC: ['100', '200'],
        RLIMIT_AS: ['1073741824', '2147483648'],
        RLIMIT_CPU: ['100', '1000'],
        RLIMIT_DATA: ['1073741824', '1073741824'],
        RLIMIT_LOCKS: ['10', '20'],
        RLIMIT_MEMLOCK: ['4096', '8192'],
        RLIMIT_MSGQUEUE: ['1000', '2000'],
        RLIMIT_NICE: ['0', '0'],
        RLIMIT_RSS: ['1000000', '1000000'],
        RLIMIT_RTPRIO: ['0', '0'],
        RLIMIT_RTTIME: ['100', '200'],
        RLIMIT_SIGPENDING: ['30', '40'],
      },
    },
  },
  {
    name: 'a limit that there is not is refused',
    field: 'process.rlimits',
    config: { process: { rlimits: [{ type: 'RLIMIT_NOSUCH', soft: 1, hard: 1 }] } },
    commands: [],
    refused: /rlimit|RLIMIT_NOSUCH/i,
  },
  {
    name: 'a soft limit above the hard one is refused',
    field: 'process.rlimits',
    config: { process: { rlimits: [{ type: 'RLIMIT_NOFILE', soft: 2048, hard: 1024 }] } },
    commands: [],
    refused: /rlimit|RLIMIT_NOFILE|invalid argument/i,
  },
  {
    name: 'the same limit twice is refused',
    field: 'process.rlimits',
    config: {
      process: {
        rlimits: [
          { type: 'RLIMIT_NOFILE', soft: 100, hard: 100 },
          { type: 'RLIMIT_NOFILE', soft: 50, hard: 50 },
        ],
      },
    },
    commands: ['limits'],
    // config.md, "rlimits": "If rlimits contains duplicated entries with same type, the runtime MUST generate an error."
    refused: /RLIMIT_NOFILE|duplicate/i,
    differs: {
      runc: {
        reason: 'does not look for doubles; the last one counts',
        finds: { limits: { RLIMIT_NOFILE: ['50', '50'] } },
      },
      crun: {
        reason: 'does not look for doubles; the last one counts',
        finds: { limits: { RLIMIT_NOFILE: ['50', '50'] } },
      },
    },
  },
  {
    name: 'batch processing with a nice value',
    field: 'process.scheduler',
    config: { process: { scheduler: { policy: 'SCHED_BATCH', nice: 5, flags: ['SCHED_FLAG_RESET_ON_FORK'] } } },
    commands: ['scheduler'],
    finds: { scheduler: { policy: 3, nice: 5, flags: 1 } },
    differs: { runc: { reason: 'versions before 1.2 do not know it', skipped: true } },
  },
  {
    name: 'real time with a priority',
    field: 'process.scheduler',
    config: {
      process: { scheduler: { policy: 'SCHED_RR', priority: 7 }, capabilities: capabilities('CAP_SYS_NICE') },
    },
    commands: ['scheduler'],
    finds: { scheduler: { policy: 2, priority: 7 } },
    differs: { runc: { reason: 'versions before 1.2 do not know it', skipped: true } },
  },
  {
    name: 'a policy that there is not is refused',
    field: 'process.scheduler',
    config: { process: { scheduler: { policy: 'SCHED_NOSUCH' } } },
    commands: [],
    refused: /SCHED_NOSUCH|scheduler/i,
    differs: { runc: { reason: 'versions before 1.2 do not know it', skipped: true } },
  },
  {
    name: 'class and priority of input and output',
    field: 'process.ioPriority',
    config: { process: { ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 6 } } },
    commands: ['ioprio'],
    finds: { ioprio: [2, 6] },
    differs: { runc: { reason: 'versions before 1.2 do not know it', skipped: true } },
  },
  {
    name: 'the idle class',
    field: 'process.ioPriority',
    config: { process: { ioPriority: { class: 'IOPRIO_CLASS_IDLE', priority: 0 } } },
    commands: ['ioprio'],
    finds: { ioprio: [3, 0] },
    differs: { runc: { reason: 'versions before 1.2 do not know it', skipped: true } },
  },
  {
    name: 'LINUX32 is seen by the program',
    field: 'linux.personality',
    config: { linux: { personality: { domain: 'LINUX32' } } },
    commands: ['personality'],
    finds: { personality: expect.toSatisfy((found: number) => (found & 0xff) === 8) },
    differs: { runc: { reason: 'versions before 1.2 do not know it', skipped: true } },
  },
  {
    name: 'LINUX is what it is anyway',
    field: 'linux.personality',
    config: { linux: { personality: { domain: 'LINUX' } } },
    commands: ['personality'],
    finds: { personality: 0 },
  },
];
