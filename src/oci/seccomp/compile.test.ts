import { describe, expect, test } from 'vitest';
import { ConfigError } from '../check.ts';
import * as abi from './abi.gen.ts';
import { compileSeccomp } from './compile.ts';
import type { LinuxSeccomp, SeccompArgument, SeccompOperator, SeccompSyscall } from './names.ts';
import { SYSCALLS } from './syscalls.gen.ts';
import { type Call, runFilter } from './testing/interpreter.ts';
import { largeProfile } from './testing/profiles.ts';

const { AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, __X32_SYSCALL_BIT } = abi;
const ALLOW = abi.SECCOMP_RET_ALLOW;
const EPERM = abi.SECCOMP_RET_ERRNO + abi.EPERM;
const ENOSYS = abi.SECCOMP_RET_ERRNO + abi.ENOSYS;
const KILL = abi.SECCOMP_RET_KILL_THREAD;
/** An errno that no default gives. */
const CHOSEN = 77;
const DENIED = abi.SECCOMP_RET_ERRNO + CHOSEN;

const native = (name: keyof typeof SYSCALLS.x86_64, ...args: bigint[]): Call => {
  return { arch: AUDIT_ARCH_X86_64, nr: SYSCALLS.x86_64[name], args };
};
const i386 = (name: keyof typeof SYSCALLS.i386, ...args: bigint[]): Call => {
  return { arch: AUDIT_ARCH_I386, nr: SYSCALLS.i386[name], args };
};
const x32 = (nr: number, ...args: bigint[]): Call => ({ arch: AUDIT_ARCH_X86_64, nr: __X32_SYSCALL_BIT + nr, args });

/** A profile that allows everything but what its rules deny with errno CHOSEN. */
function denying(...syscalls: Partial<SeccompSyscall>[]): LinuxSeccomp {
  const rules = syscalls.map((rule): SeccompSyscall => {
    return { names: ['socket'], action: 'SCMP_ACT_ERRNO', errnoRet: CHOSEN, ...rule };
  });
  return { defaultAction: 'SCMP_ACT_ALLOW', syscalls: rules };
}

/** A profile that denies everything but these calls. */
function allowing(names: readonly string[], more: Partial<LinuxSeccomp> = {}): LinuxSeccomp {
  return { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [{ names, action: 'SCMP_ACT_ALLOW' }], ...more };
}

const when = (op: SeccompOperator, value: number | bigint, valueTwo?: number | bigint): SeccompArgument => {
  return { index: 0, op, value, ...(valueTwo === undefined ? {} : { valueTwo }) };
};

function verdict(profile: LinuxSeccomp, call: Call): number {
  return runFilter(compileSeccomp(profile).program, call).value;
}

describe('actions', () => {
  test.each([
    ['SCMP_ACT_ALLOW', undefined, abi.SECCOMP_RET_ALLOW],
    ['SCMP_ACT_ERRNO', undefined, EPERM],
    ['SCMP_ACT_ERRNO', 4095, abi.SECCOMP_RET_ERRNO + 4095],
    ['SCMP_ACT_ERRNO', 0, abi.SECCOMP_RET_ERRNO],
    ['SCMP_ACT_KILL', undefined, abi.SECCOMP_RET_KILL_THREAD],
    ['SCMP_ACT_KILL_THREAD', undefined, abi.SECCOMP_RET_KILL_THREAD],
    ['SCMP_ACT_KILL_PROCESS', undefined, abi.SECCOMP_RET_KILL_PROCESS],
    ['SCMP_ACT_LOG', undefined, abi.SECCOMP_RET_LOG],
    ['SCMP_ACT_TRACE', undefined, abi.SECCOMP_RET_TRACE + abi.EPERM],
    ['SCMP_ACT_TRACE', 0xffff, abi.SECCOMP_RET_TRACE + 0xffff],
    ['SCMP_ACT_TRAP', undefined, abi.SECCOMP_RET_TRAP],
  ] as const)('%s with errnoRet %s is the return value %d, as rule and as default', (action, errnoRet, expected) => {
    const errno = errnoRet === undefined ? {} : { errnoRet };
    const defaults = errnoRet === undefined ? {} : { defaultErrnoRet: errnoRet };

    expect(
      verdict({ ...denying({ action: 'SCMP_ACT_LOG' }), defaultAction: action, ...defaults }, native('read')),
    ).toBe(expected);
    expect(
      verdict({ defaultAction: 'SCMP_ACT_TRAP', syscalls: [{ names: ['read'], action, ...errno }] }, native('read')),
    ).toBe(expected);
  });

  test('without system calls there is the default action alone', () => {
    expect(verdict({ defaultAction: 'SCMP_ACT_ERRNO' }, native('read'))).toBe(EPERM);
    expect(verdict({ defaultAction: 'SCMP_ACT_ERRNO', syscalls: null }, native('mseal'))).toBe(EPERM);
  });
});

const EDGES = [0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n];

describe('operators on 64 bits', () => {
  const OPERATORS: readonly [SeccompOperator, (argument: bigint, value: bigint) => boolean][] = [
    ['SCMP_CMP_NE', (argument, value) => argument !== value],
    ['SCMP_CMP_LT', (argument, value) => argument < value],
    ['SCMP_CMP_LE', (argument, value) => argument <= value],
    ['SCMP_CMP_EQ', (argument, value) => argument === value],
    ['SCMP_CMP_GE', (argument, value) => argument >= value],
    ['SCMP_CMP_GT', (argument, value) => argument > value],
  ];

  test.each(OPERATORS)('%s holds at the edges as it does for whole numbers', (op, holds) => {
    const found = EDGES.flatMap((value) =>
      EDGES.map((argument) => verdict(denying({ args: [when(op, value)] }), native('socket', argument))),
    );

    expect(found).toEqual(EDGES.flatMap((value) => EDGES.map((argument) => (holds(argument, value) ? DENIED : ALLOW))));
  });

  test('SCMP_CMP_MASKED_EQ compares the bits of the mask, on both sides', () => {
    const cases = EDGES.flatMap((mask) =>
      EDGES.flatMap((value) => EDGES.map((argument) => ({ mask, value, argument }))),
    );

    const found = cases.map(({ mask, value, argument }) =>
      verdict(denying({ args: [when('SCMP_CMP_MASKED_EQ', mask, value)] }), native('socket', argument)),
    );

    expect(found).toEqual(
      cases.map(({ mask, value, argument }) => ((argument & mask) === (value & mask) ? DENIED : ALLOW)),
    );
  });

  test('values may be numbers where those are exact', () => {
    const profile = denying({ args: [when('SCMP_CMP_MASKED_EQ', 2114060288)] });

    expect(verdict(profile, native('socket', 0x11n))).toBe(DENIED);
    expect(verdict(profile, native('socket', 0x2000_0011n))).toBe(ALLOW);
  });

  test.each([0, 1, 2, 3, 4, 5])('argument %d is the one that is compared', (index) => {
    const args = [1n, 2n, 3n, 4n, 5n, 6n];
    const profile = denying({ args: [{ index, op: 'SCMP_CMP_EQ', value: index + 1 }] });

    expect(verdict(profile, native('socket', ...args))).toBe(DENIED);
    expect(verdict(profile, native('socket', ...args.toReversed()))).toBe(ALLOW);
  });
});

describe('several rules for one system call', () => {
  const two = [
    { index: 0, op: 'SCMP_CMP_EQ', value: 1 },
    { index: 1, op: 'SCMP_CMP_EQ', value: 2 },
  ] as const;

  test('conditions of one rule must all hold', () => {
    const profile = denying({ args: two });

    expect(verdict(profile, native('socket', 1n, 2n))).toBe(DENIED);
    expect(verdict(profile, native('socket', 1n, 3n))).toBe(ALLOW);
    expect(verdict(profile, native('socket', 3n, 2n))).toBe(ALLOW);
  });

  test('of rules one must hold', () => {
    const profile = denying({ args: [two[0]] }, { args: [two[1]] });

    expect(verdict(profile, native('socket', 1n, 0n))).toBe(DENIED);
    expect(verdict(profile, native('socket', 0n, 2n))).toBe(DENIED);
    expect(verdict(profile, native('socket', 0n, 0n))).toBe(ALLOW);
  });

  test('conditions on one argument are rules of their own, as in runc', () => {
    const profile = denying({ args: [when('SCMP_CMP_EQ', 1), when('SCMP_CMP_EQ', 2), { ...two[1], value: 9 }] });

    expect(verdict(profile, native('socket', 2n, 0n))).toBe(DENIED);
    expect(verdict(profile, native('socket', 0n, 9n))).toBe(DENIED);
    expect(verdict(profile, native('socket', 0n, 0n))).toBe(ALLOW);
  });

  test.each([
    ['before', [{ names: ['socket'] }, { names: ['socket'], errnoRet: 5, args: [two[0]] }]],
    ['after', [{ names: ['socket'], errnoRet: 5, args: [two[0]] }, { names: ['socket'] }]],
  ] as const)('a rule without conditions %s one with them stands for the whole call', (_, rules) => {
    expect(verdict(denying(...rules), native('socket', 1n))).toBe(DENIED);
  });

  test('the first of two rules without conditions holds', () => {
    expect(verdict(denying({}, { errnoRet: 5 }), native('socket'))).toBe(DENIED);
  });

  test('a rule that says what the default says is none', () => {
    const profile = denying({ action: 'SCMP_ACT_ALLOW', errnoRet: null }, {});

    expect(verdict(profile, native('socket'))).toBe(DENIED);
  });

  test.each([
    ['equality comes before order', when('SCMP_CMP_GE', 1), when('SCMP_CMP_EQ', 5), 5n],
    ['the greater lower limit comes first', when('SCMP_CMP_GE', 1), when('SCMP_CMP_GE', 5), 6n],
    ['the smaller upper limit comes first', when('SCMP_CMP_LE', 9), when('SCMP_CMP_LE', 5), 3n],
    ['a later argument comes before an earlier one', two[0], two[1], 1n],
  ])('%s, whichever is written first', (_, loose, tight, argument) => {
    const rules = [{ args: [loose], errnoRet: 5 }, { args: [tight] }];

    expect(verdict(denying(...rules), native('socket', argument, 2n))).toBe(DENIED);
    expect(verdict(denying(...rules.toReversed()), native('socket', argument, 2n))).toBe(DENIED);
  });

  test('two actions on one condition are refused', () => {
    const profile = denying({ args: [two[0]] }, { names: ['bind', 'socket'], errnoRet: 5, args: [two[0]] });

    expect(() => compileSeccomp(profile)).toThrow(ConfigError);
    expect(() => compileSeccomp(profile)).toThrow('linux.seccomp.syscalls[1] in config.json is "socket"');
  });

  test('one action twice on one condition is one rule', () => {
    const profile = denying({ args: [two[0]] }, { args: [two[0]] });

    expect(compileSeccomp(profile)).toEqual(compileSeccomp(denying({ args: [two[0]] })));
  });
});

describe('names', () => {
  test.each(['nosuchcall', 'mmap2', 'constructor', '__proto__', 'toString'])(
    '%s, no call of x86-64, is passed over',
    (name) => {
      expect(compileSeccomp(denying({ names: [name, 'socket'] }))).toEqual(compileSeccomp(denying({})));
    },
  );
});

describe('architectures', () => {
  const ALL = ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'] as const;

  test('x86-64 is there, listed or not', () => {
    expect(verdict(denying({}), native('socket'))).toBe(DENIED);
    expect(verdict({ ...denying({}), architectures: ['SCMP_ARCH_X86'] }, native('socket'))).toBe(DENIED);
  });

  test('calls of those that are not listed kill', () => {
    expect(verdict(denying({}), i386('read'))).toBe(KILL);
    expect(verdict(denying({}), x32(0))).toBe(KILL);
    expect(verdict({ ...denying({}), architectures: ALL }, { arch: 0xc00000b7, nr: 0 })).toBe(KILL);
  });

  test('names mean the number of each', () => {
    const profile = { ...denying({ names: ['rt_sigaction', 'mmap2'] }), architectures: ALL };

    expect(verdict(profile, native('rt_sigaction'))).toBe(DENIED);
    expect(verdict(profile, i386('rt_sigaction'))).toBe(DENIED);
    expect(verdict(profile, i386('mmap2'))).toBe(DENIED);
    expect(verdict(profile, x32(SYSCALLS.x32.rt_sigaction))).toBe(DENIED);
    expect(verdict(profile, x32(SYSCALLS.x86_64.rt_sigaction))).toBe(ALLOW);
  });

  test('those of other processors change nothing', () => {
    const others = { ...denying({}), architectures: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_S390X'] as const };

    expect(compileSeccomp(others)).toEqual(compileSeccomp(denying({})));
  });

  test('32-bit ones have arguments of 32 bits', () => {
    const profile = {
      ...denying({ names: ['read'], args: [when('SCMP_CMP_EQ', 2n ** 64n - 1n)] }),
      architectures: ALL,
    };

    expect(verdict(profile, i386('read', 0xffff_ffffn))).toBe(DENIED);
    expect(verdict(profile, x32(0, 0xffff_ffffn))).toBe(DENIED);
    expect(verdict(profile, native('read', 0xffff_ffffn))).toBe(ALLOW);
  });

  test('i386 reaches sockets and System V IPC by two ways', () => {
    const profile = { ...denying({ names: ['socket', 'accept', 'shmget', 'semop'] }), architectures: ALL };

    expect(verdict(profile, i386('socket'))).toBe(DENIED);
    expect(verdict(profile, i386('socketcall', 1n))).toBe(DENIED);
    expect(verdict(profile, i386('socketcall', 5n))).toBe(DENIED);
    expect(verdict(profile, i386('socketcall', 3n))).toBe(ALLOW);
    expect(verdict(profile, i386('ipc', 23n))).toBe(DENIED);
    expect(verdict(profile, i386('ipc', 1n))).toBe(DENIED);
    expect(verdict(profile, i386('ipc', 2n))).toBe(ALLOW);
  });

  test('the call by which a tracer skips another gets the default action', () => {
    expect(verdict(denying({}), { arch: AUDIT_ARCH_X86_64, nr: 0xffff_ffff })).toBe(ALLOW);
  });
});

describe('calls newer than the profile', () => {
  const listed = { architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'] } as const;

  test('give ENOSYS where the default denies', () => {
    const profile = allowing(['read', 'openat2'], listed);

    expect(verdict(profile, native('openat2'))).toBe(ALLOW);
    expect(verdict(profile, native('write'))).toBe(EPERM);
    expect(verdict(profile, native('pidfd_getfd'))).toBe(ENOSYS);
    expect(verdict(profile, { arch: AUDIT_ARCH_X86_64, nr: __X32_SYSCALL_BIT - 1 })).toBe(ENOSYS);
    expect(verdict(profile, i386('pidfd_getfd'))).toBe(ENOSYS);
    expect(verdict(profile, x32(SYSCALLS.x32.pidfd_getfd))).toBe(ENOSYS);
  });

  test.each(['SCMP_ACT_KILL', 'SCMP_ACT_KILL_PROCESS', 'SCMP_ACT_TRAP'] as const)(
    'give ENOSYS in place of %s',
    (defaultAction) => {
      expect(verdict(allowing(['openat2'], { ...listed, defaultAction }), native('mseal'))).toBe(ENOSYS);
    },
  );

  test.each(['SCMP_ACT_LOG', 'SCMP_ACT_TRACE'] as const)('are left to a default of %s', (defaultAction) => {
    const profile = allowing(['openat2'], { ...listed, defaultAction });

    expect(verdict(profile, native('mseal'))).toBe(verdict(profile, native('write')));
  });

  test('get the default where the profile lists no architecture, as in runc', () => {
    expect(verdict(allowing(['openat2']), native('mseal'))).toBe(EPERM);
  });

  test('are counted from the names of rules that say what the default says', () => {
    const profile = allowing(['read'], listed);
    const longer = [...(profile.syscalls ?? []), { names: ['openat2'], action: 'SCMP_ACT_ERRNO' } as const];

    expect(verdict({ ...profile, syscalls: longer }, native('openat2'))).toBe(EPERM);
    expect(verdict({ ...profile, syscalls: longer }, native('pidfd_getfd'))).toBe(ENOSYS);
  });
});

describe('flags', () => {
  test.each([
    [undefined, abi.SECCOMP_FILTER_FLAG_SPEC_ALLOW],
    [null, abi.SECCOMP_FILTER_FLAG_SPEC_ALLOW],
    [[], 0],
    [['SECCOMP_FILTER_FLAG_LOG'], abi.SECCOMP_FILTER_FLAG_LOG],
    [
      ['SECCOMP_FILTER_FLAG_SPEC_ALLOW', 'SECCOMP_FILTER_FLAG_LOG'],
      abi.SECCOMP_FILTER_FLAG_SPEC_ALLOW + abi.SECCOMP_FILTER_FLAG_LOG,
    ],
    [['SECCOMP_FILTER_FLAG_TSYNC', 'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV'], 0],
  ] as const)('%j are %d to the kernel', (flags, expected) => {
    expect(compileSeccomp({ ...denying({}), ...(flags === undefined ? {} : { flags }) }).flags).toBe(expected);
  });
});

describe('the program', () => {
  test("of a profile as large as container engines' defaults is short, and decides in few steps", () => {
    const { program } = compileSeccomp(largeProfile());
    const calls = [...Object.values(SYSCALLS.x86_64), 500].map((nr) => ({ arch: AUDIT_ARCH_X86_64, nr, args: [0n] }));

    expect(program.length / abi.sock_filter.sizeof).toBeLessThan(400);
    expect(Math.max(...calls.map((call) => runFilter(program, call).steps))).toBeLessThan(40);
    expect(
      Math.max(...[0, 1, 9, 202].map((nr) => runFilter(program, { arch: AUDIT_ARCH_X86_64, nr }).steps)),
    ).toBeLessThan(14);
  });

  test('reaches targets beyond the distance of a conditional jump', () => {
    const values = Array.from({ length: 300 }, (_, index) => 7 * index);
    const profile = denying(
      { args: values.map((value) => when('SCMP_CMP_EQ', value)) },
      { names: ['bind'], errnoRet: 5 },
    );

    expect(values.map((value) => verdict(profile, native('socket', BigInt(value))))).toEqual(values.map(() => DENIED));
    expect(verdict(profile, native('socket', 1n))).toBe(ALLOW);
    expect(verdict(profile, native('bind'))).toBe(abi.SECCOMP_RET_ERRNO + 5);
  });

  test('that is longer than the kernel takes is refused', () => {
    const args = Array.from({ length: 2000 }, (_, value) => when('SCMP_CMP_EQ', value));

    expect(() => compileSeccomp(denying({ args }))).toThrow(
      /linux.seccomp in config.json is "\d+ instructions"; allowed is at most 4096/,
    );
  });
});
