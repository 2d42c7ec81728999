import { describe, expect, test } from 'vitest';
import { ConfigError } from '../check.ts';
import { seccomp } from './check.ts';

const argument = { index: 0, value: 1, op: 'SCMP_CMP_EQ' };
const call = { names: ['read'], action: 'SCMP_ACT_ERRNO' };
const profile = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [call] };
const withCall = (more: object): object => ({ ...profile, syscalls: [{ ...call, ...more }] });
const withArgument = (more: object): object => withCall({ args: [{ ...argument, ...more }] });

describe('linux.seccomp', () => {
  test.each<[string, unknown]>([
    ['nothing', {}],
    ['only null and empty parts', { defaultAction: '', syscalls: null, architectures: null }],
    ['a default action alone', { defaultAction: 'SCMP_ACT_KILL' }],
    ['lists that are null', { ...profile, architectures: null, flags: null, syscalls: [{ ...call, args: null }] }],
    ['the greatest errno', withCall({ errnoRet: 4095 })],
    ['the greatest data for a tracer', withCall({ action: 'SCMP_ACT_TRACE', errnoRet: 65535 })],
    ['the greatest value', withArgument({ value: 2n ** 64n - 1n, valueTwo: 2n ** 64n - 1n })],
    ['architectures of other processors', { ...profile, architectures: ['SCMP_ARCH_S390X', 'SCMP_ARCH_RISCV64'] }],
    ['a listener that nothing notifies', { ...profile, listenerPath: '/run/x.sock', listenerMetadata: 'x' }],
    ['all flags', { ...profile, flags: ['SECCOMP_FILTER_FLAG_TSYNC', 'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV'] }],
  ])('may have %s', (_, found) => {
    expect(() => seccomp(found, 'linux.seccomp')).not.toThrow();
  });

  test.each<[string, unknown, string]>([
    ['no default action', { syscalls: [call] }, 'linux.seccomp.defaultAction in config.json is missing'],
    [
      'an unknown action',
      withCall({ action: 'SCMP_ACT_NO' }),
      'linux.seccomp.syscalls[0].action in config.json is "SCMP_ACT_NO"',
    ],
    ['a notification', withCall({ action: 'SCMP_ACT_NOTIFY' }), 'the listener is a process of the host'],
    [
      'a notification as default',
      { defaultAction: 'SCMP_ACT_NOTIFY' },
      'linux.seccomp.defaultAction in config.json is "SCMP_ACT_NOTIFY"',
    ],
    ['no names', withCall({ names: [] }), 'linux.seccomp.syscalls[0].names in config.json is []'],
    ['an empty name', withCall({ names: [''] }), 'linux.seccomp.syscalls[0].names[0]'],
    [
      'an errno beyond MAX_ERRNO',
      withCall({ errnoRet: 4096 }),
      'linux.seccomp.syscalls[0].errnoRet in config.json is 4096',
    ],
    ['a negative errno', withCall({ errnoRet: -1 }), 'linux.seccomp.syscalls[0].errnoRet in config.json is -1'],
    [
      'an errno for an action without',
      withCall({ action: 'SCMP_ACT_KILL', errnoRet: 1 }),
      'SCMP_ACT_KILL has no errno',
    ],
    [
      'a default errno for an action without',
      { ...profile, defaultErrnoRet: 1 },
      'linux.seccomp.defaultErrnoRet in config.json is 1',
    ],
    ['more data than a tracer gets', withCall({ action: 'SCMP_ACT_TRACE', errnoRet: 65536 }), 'is 65536'],
    ['a seventh argument', withArgument({ index: 6 }), 'linux.seccomp.syscalls[0].args[0].index in config.json is 6'],
    [
      'an unknown operator',
      withArgument({ op: 'SCMP_CMP_NOT' }),
      'linux.seccomp.syscalls[0].args[0].op in config.json is "SCMP_CMP_NOT"',
    ],
    ['a negative value', withArgument({ value: -1 }), 'linux.seccomp.syscalls[0].args[0].value in config.json is -1'],
    ['a rounded value', withArgument({ value: 2 ** 53 }), 'linux.seccomp.syscalls[0].args[0].value'],
    ['a value of 65 bits', withArgument({ value: 2n ** 64n }), 'value in config.json is "18446744073709551616"'],
    [
      'a value that is none',
      withArgument({ valueTwo: '1' }),
      'linux.seccomp.syscalls[0].args[0].valueTwo in config.json is "1"',
    ],
    ['an unknown architecture', { ...profile, architectures: ['SCMP_ARCH_Z80'] }, 'linux.seccomp.architectures[0]'],
    ['an unknown flag', { ...profile, flags: ['SECCOMP_FILTER_FLAG_NEW_LISTENER'] }, 'linux.seccomp.flags[0]'],
    ['metadata without a listener', { ...profile, listenerMetadata: 'x' }, 'linux.seccomp.listenerMetadata'],
    ['another form', 'default', 'linux.seccomp in config.json is "default"'],
  ])('may not have %s', (_, found, message) => {
    expect(() => seccomp(found, 'linux.seccomp')).toThrow(ConfigError);
    expect(() => seccomp(found, 'linux.seccomp')).toThrow(message);
  });
});
