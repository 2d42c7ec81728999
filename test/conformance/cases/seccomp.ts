// config-linux.md, "Seccomp".
import { expect } from 'vitest';
import type { Case } from '../case.ts';
import type { Parts } from '../config.ts';

const filter = (more: object, process: Readonly<Record<string, unknown>> = {}): Parts => ({
  process,
  linux: {
    seccomp: { defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_X86_64'], ...more },
  },
});
const MKDIR = ['mkdir', 'mkdirat'];
/** x86-64 numbers of the calls that the probe makes by number. */
const [GETPID, PERSONALITY, GETPGID, SETPRIORITY, UNUSED] = [39, 135, 121, 141, 1000];
/** The mark of the x32 calls (arch/x86/include/uapi/asm/unistd.h, __X32_SYSCALL_BIT). */
const X32_BIT = 0x4000_0000;
/** i386 numbers. */
const [I386_GETPID, I386_MKDIR] = [20, 39];
const SIGSYS = 31;
const SIGSEGV = 11;

const NO_I386 = {
  reason: 'the guest’s kernel has no calls for 32-bit programs: the gate is closed to all',
  skipped: true,
} as const;

export const seccompCases: readonly Case[] = [
  {
    name: 'a call is answered with an errno, others pass',
    field: 'linux.seccomp.syscalls',
    endToEnd: true,
    config: filter({
      syscalls: [
        { names: MKDIR, action: 'SCMP_ACT_ERRNO' },
        { names: ['getpgid'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 },
        { names: ['no_such_call_on_any_kernel'], action: 'SCMP_ACT_ERRNO' },
      ],
    }),
    commands: ['mkdir /tmp/x', `syscall ${GETPGID}`, `syscall ${GETPID}`, 'status Seccomp', 'no-new-privs'],
    finds: {
      'mkdir /tmp/x': 'EPERM',
      [`syscall ${GETPGID}`]: 'EOPNOTSUPP',
      [`syscall ${GETPID}`]: 1,
      'status Seccomp': '2',
      'no-new-privs': 1,
    },
  },
  {
    name: 'actions that kill, trap, log and trace',
    field: 'linux.seccomp.syscalls.action',
    config: filter({
      syscalls: [
        { names: ['getpgid'], action: 'SCMP_ACT_KILL_PROCESS' },
        { names: ['setpriority'], action: 'SCMP_ACT_TRAP' },
        { names: ['personality'], action: 'SCMP_ACT_LOG' },
        { names: ['mkdir'], action: 'SCMP_ACT_TRACE' },
        { names: ['rmdir'], action: 'SCMP_ACT_KILL_THREAD' },
      ],
    }),
    commands: [
      `fork syscall ${GETPGID}`,
      `fork syscall ${SETPRIORITY}`,
      `syscall ${PERSONALITY} 0xffffffff`,
      'fork syscall 83 /tmp/x 511',
      'fork syscall 84 /tmp/x',
    ],
    finds: {
      [`fork syscall ${GETPGID}`]: { signal: SIGSYS },
      [`fork syscall ${SETPRIORITY}`]: { signal: SIGSYS },
      [`syscall ${PERSONALITY} 0xffffffff`]: 0,
      'fork syscall 83 /tmp/x 511': { 'syscall 83 /tmp/x 511': 'ENOSYS' },
      'fork syscall 84 /tmp/x': { signal: SIGSYS },
    },
  },
  {
    name: 'arguments are compared in each way',
    field: 'linux.seccomp.syscalls.args',
    config: filter({
      syscalls: [
        {
          names: ['personality'],
          action: 'SCMP_ACT_ERRNO',
          errnoRet: 1,
          args: [{ index: 0, value: 1, op: 'SCMP_CMP_EQ' }],
        },
        {
          names: ['personality'],
          action: 'SCMP_ACT_ERRNO',
          errnoRet: 2,
          args: [{ index: 0, value: 256, valueTwo: 256, op: 'SCMP_CMP_MASKED_EQ' }],
        },
        {
          names: ['getpgid'],
          action: 'SCMP_ACT_ERRNO',
          errnoRet: 3,
          args: [{ index: 0, value: 4_294_967_296, op: 'SCMP_CMP_GE' }],
        },
        {
          names: ['setpriority'],
          action: 'SCMP_ACT_ERRNO',
          errnoRet: 4,
          args: [{ index: 1, value: 5, op: 'SCMP_CMP_NE' }],
        },
        {
          names: ['setpgid'],
          action: 'SCMP_ACT_ERRNO',
          errnoRet: 5,
          args: [
            { index: 0, value: 5, op: 'SCMP_CMP_GT' },
            { index: 1, value: 9, op: 'SCMP_CMP_LT' },
          ],
        },
      ],
    }),
    commands: [
      `syscall ${PERSONALITY} 1`,
      `syscall ${PERSONALITY} 0xffffffffffff0000`,
      `syscall ${PERSONALITY} 0x100`,
      `syscall ${GETPGID} 0x100000001`,
      `syscall ${GETPGID} 0`,
      `syscall ${SETPRIORITY} 9 6`,
      `syscall ${SETPRIORITY} 9 5`,
      'syscall 109 6 8',
      'syscall 109 6 10',
    ],
    finds: {
      [`syscall ${PERSONALITY} 1`]: 'EPERM',
      [`syscall ${PERSONALITY} 0x100`]: 'ENOENT',
      [`syscall ${GETPGID} 0x100000001`]: 'ESRCH',
      [`syscall ${GETPGID} 0`]: 1,
      [`syscall ${SETPRIORITY} 9 6`]: 'EINTR',
      [`syscall ${SETPRIORITY} 9 5`]: 'EINVAL',
      'syscall 109 6 8': 'EIO',
      'syscall 109 6 10': 'ESRCH',
    },
  },
  {
    name: 'what is not listed gets the default, with its errno; what is newer than the list does not exist',
    field: 'linux.seccomp.defaultAction',
    config: filter({
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 95,
      syscalls: [
        {
          names: [
            'read',
            'write',
            'writev',
            'open',
            'openat',
            'close',
            'fstat',
            'newfstatat',
            'fcntl',
            'brk',
            'mmap',
            'munmap',
            'ioctl',
            'execve',
            'exit',
            'exit_group',
            'arch_prctl',
            'set_tid_address',
            'futex',
            'getpid',
            'rt_sigreturn',
            'rt_sigprocmask',
            'prctl',
            'getdents64',
            'fstatfs',
            'getppid',
            'capset',
            'capget',
            'setgroups',
            'setgid',
            'setuid',
            'chdir',
            'fchdir',
            'epoll_ctl',
            'epoll_pwait',
            'rt_sigaction',
            'sigaltstack',
            'gettid',
            'tgkill',
            'nanosleep',
            'clock_gettime',
            'sched_yield',
            'madvise',
            'getcwd',
            'lseek',
            'mprotect',
            'readlinkat',
            'statfs',
            'faccessat',
            'faccessat2',
            'getrandom',
            'rseq',
            'set_robust_list',
            'prlimit64',
            'pipe2',
            'eventfd2',
            'epoll_create1',
            'clone',
            'clone3',
            'stat',
            'lstat',
            'poll',
            'unlinkat',
            'close_range',
            'dup3',
            'openat2',
            'getuid',
            'setsid',
            'readv',
            'umask',
            'timer_settime',
            'timer_create',
            'timer_delete',
            'pread64',
            'access',
            'readlink',
            'uname',
            'getsockopt',
            'dup2',
            'dup',
          ],
          action: 'SCMP_ACT_ALLOW',
        },
      ],
    }),
    commands: ['mkdir /tmp/x', `syscall ${UNUSED}`, `syscall ${GETPID}`, 'unlink /etc/passwd'],
    // Programs fall back where a call does not exist.
    finds: {
      'mkdir /tmp/x': 'EOPNOTSUPP',
      [`syscall ${UNUSED}`]: 'ENOSYS',
      [`syscall ${GETPID}`]: 1,
      'unlink /etc/passwd': 'EOPNOTSUPP',
    },
  },
  {
    name: 'holds without noNewPrivileges too, and cannot be taken off',
    field: 'linux.seccomp',
    config: filter({ syscalls: [{ names: MKDIR, action: 'SCMP_ACT_ERRNO' }] }, { noNewPrivileges: false }),
    commands: ['mkdir /tmp/x', 'run /bin/probe mkdir /tmp/x', 'no-new-privs'],
    finds: { 'mkdir /tmp/x': 'EPERM', 'run /bin/probe mkdir /tmp/x': { 'mkdir /tmp/x': 'EPERM' }, 'no-new-privs': 0 },
  },
  {
    name: 'holds for a process that enters',
    field: 'linux.seccomp',
    config: filter({ syscalls: [{ names: MKDIR, action: 'SCMP_ACT_ERRNO' }] }),
    exec: {},
    commands: ['mkdir /tmp/x', 'status Seccomp'],
    finds: { 'mkdir /tmp/x': 'EPERM', 'status Seccomp': '2' },
  },
  {
    name: 'an action that there is not is refused',
    field: 'linux.seccomp.defaultAction',
    config: filter({ defaultAction: 'SCMP_ACT_NOSUCH' }),
    commands: ['cwd'],
    refused: /SCMP_ACT_NOSUCH|seccomp/,
  },
  {
    name: 'an architecture that there is not is refused',
    field: 'linux.seccomp.architectures',
    config: filter({ architectures: ['SCMP_ARCH_NOSUCH'] }),
    commands: ['cwd'],
    refused: /ARCH_NOSUCH|seccomp/,
  },
  {
    name: 'the gate for 32-bit programs is no way around a filter for 64-bit ones',
    field: 'escape',
    config: filter({ syscalls: [{ names: MKDIR, action: 'SCMP_ACT_ERRNO' }] }),
    commands: [`fork int80 ${I386_MKDIR} /tmp/x 511`, `fork int80 ${I386_GETPID}`, 'stat /tmp/x'],
    finds: {
      // libseccomp's action for architectures that are not listed kills.
      [`fork int80 ${I386_MKDIR} /tmp/x 511`]: { signal: SIGSYS },
      [`fork int80 ${I386_GETPID}`]: { signal: SIGSYS },
      'stat /tmp/x': 'ENOENT',
    },
    differs: {
      vm: {
        reason: 'the guest’s kernel has no calls for 32-bit programs: the gate faults',
        finds: { [`fork int80 ${I386_MKDIR} /tmp/x 511`]: { signal: SIGSEGV }, 'stat /tmp/x': 'ENOENT' },
      },
      tskata: NO_I386,
    },
  },
  {
    name: 'an architecture that is listed has the same rules by its own numbers',
    field: 'linux.seccomp.architectures',
    config: filter({
      architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
      syscalls: [{ names: MKDIR, action: 'SCMP_ACT_ERRNO' }],
    }),
    commands: ['mkdir /tmp/x', `fork int80 ${I386_MKDIR} /tmp/x 511`, `fork int80 ${I386_GETPID}`],
    finds: {
      'mkdir /tmp/x': 'EPERM',
      [`fork int80 ${I386_MKDIR} /tmp/x 511`]: { [`int80 ${I386_MKDIR} /tmp/x 511`]: 'EPERM' },
      [`fork int80 ${I386_GETPID}`]: { [`int80 ${I386_GETPID}`]: expect.any(Number) },
    },
    differs: { vm: NO_I386, tskata: NO_I386 },
  },
  {
    name: 'x32 numbers are no way around a filter for x86-64 ones',
    field: 'escape',
    config: filter({ syscalls: [{ names: MKDIR, action: 'SCMP_ACT_ERRNO' }] }),
    commands: [`fork syscall ${X32_BIT + 83} /tmp/x 511`, 'stat /tmp/x'],
    finds: {
      [`fork syscall ${X32_BIT + 83} /tmp/x 511`]: expect.toSatisfy(
        (found: { signal?: number } & Record<string, unknown>) =>
          found.signal === SIGSYS || Object.values(found)[0] === 'ENOSYS',
      ),
      'stat /tmp/x': 'ENOENT',
    },
  },
];
