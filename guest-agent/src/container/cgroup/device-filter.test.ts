// The programs for devices, run by a small interpreter of the few instructions that they are made of.
import { describe, expect, test } from 'vitest';
import * as abi from '../../linux/abi.gen.ts';
import { parseDeviceRules, withDefaultRules } from '../config/device-rules.ts';
import { JsonObject } from '../config/json.ts';
import { compileDeviceRules } from './device-filter.ts';
import { type DeviceAccess, interpret } from './device-filter-interpreter.ts';

const { BPF_DEVCG_ACC_MKNOD: M, BPF_DEVCG_ACC_READ: R, BPF_DEVCG_ACC_WRITE: W } = abi;
const { BPF_DEVCG_DEV_CHAR: C, BPF_DEVCG_DEV_BLOCK: B } = abi;

const rulesOf = (...devices: object[]) => parseDeviceRules(new JsonObject({ devices }, 'linux.resources')) ?? [];
const asks = (type: number, major: number, minor: number, access: number): DeviceAccess => ({
  type,
  major,
  minor,
  access,
});
const judge = (rules: ReturnType<typeof rulesOf>, access: DeviceAccess) => interpret(compileDeviceRules(rules), access);

describe('rules', () => {
  const denyAll = { allow: false };

  test.each<[string, object[], DeviceAccess, boolean]>([
    ['nothing is allowed without a rule', [], asks(C, 1, 3, R), false],
    ['a rule allows its device', [{ allow: true, type: 'c', major: 1, minor: 3, access: 'r' }], asks(C, 1, 3, R), true],
    ['but no other minor', [{ allow: true, type: 'c', major: 1, minor: 3, access: 'r' }], asks(C, 1, 4, R), false],
    ['and no other major', [{ allow: true, type: 'c', major: 1, minor: 3, access: 'r' }], asks(C, 2, 3, R), false],
    ['and no other type', [{ allow: true, type: 'c', major: 1, minor: 3, access: 'r' }], asks(B, 1, 3, R), false],
    ['and no other access', [{ allow: true, type: 'c', major: 1, minor: 3, access: 'r' }], asks(C, 1, 3, R | W), false],
    [
      'two rules allow together what each allows in part',
      [
        { allow: true, type: 'c', major: 1, minor: 3, access: 'r' },
        { allow: true, type: 'c', major: 1, minor: 3, access: 'w' },
      ],
      asks(C, 1, 3, R | W),
      true,
    ],
    ['no number is every number', [{ allow: true, type: 'b', access: 'rw' }], asks(B, 253, 77, R | W), true],
    ['-1 is every number', [{ allow: true, type: 'b', major: -1, minor: -1, access: 'rw' }], asks(B, 9, 7, W), true],
    ['everything may be allowed', [denyAll, { allow: true, access: 'rwm' }], asks(B, 8, 0, R | W | M), true],
    ['"a" ends what was said before', [{ allow: true, type: 'c', access: 'rwm' }, denyAll], asks(C, 1, 3, R), false],
    [
      'the last rule counts: a hole in a wide one',
      [
        { allow: true, type: 'c', major: 1, access: 'rwm' },
        { allow: false, type: 'c', major: 1, minor: 11, access: 'w' },
      ],
      asks(C, 1, 11, R | W),
      false,
    ],
    [
      'and what the hole does not take stays',
      [
        { allow: true, type: 'c', major: 1, access: 'rwm' },
        { allow: false, type: 'c', major: 1, minor: 11, access: 'w' },
      ],
      asks(C, 1, 11, R),
      true,
    ],
    [
      'the greatest numbers are compared whole',
      [{ allow: true, type: 'c', major: 4294967295, minor: 2147483648, access: 'r' }],
      asks(C, 4294967295, 2147483648, R),
      true,
    ],
  ])('%s', (_what, devices, access, allowed) => {
    expect(judge(rulesOf(...devices), access)).toBe(allowed);
  });

  test.each([
    [{ allow: true, type: 'u', access: 'r' }, 'linux.resources.devices[0].type is "u"; allowed is a, b or c'],
    [{ allow: true, type: 'c' }, 'linux.resources.devices[0].access is ""'],
    [
      { allow: true, type: 'c', access: 'rx' },
      'linux.resources.devices[0].access is "rx"; allowed is made of r, w and m',
    ],
    [{ allow: true, type: 'c', major: 4294967296, access: 'r' }, 'linux.resources.devices[0].major is 4294967296'],
    [{ allow: true, type: 'c', minor: -2, access: 'r' }, 'linux.resources.devices[0].minor is -2'],
  ])('are refused by name: %j', (rule, message) => {
    expect(() => rulesOf(rule)).toThrow(message);
  });
});

describe('what every container may do', () => {
  const rules = withDefaultRules(rulesOf({ allow: false, access: 'rwm' }), ['/dev/zero']);

  test.each([
    ['make any character device', asks(C, 77, 5, M), true],
    ['make any block device', asks(B, 8, 0, M), true],
    ['but not open it', asks(B, 8, 0, R), false],
    ['use /dev/null', asks(C, 1, 3, R | W), true],
    ['use /dev/urandom', asks(C, 1, 9, R), true],
    ['use its terminals', asks(C, 136, 12, R | W), true],
    ['use /dev/ptmx', asks(C, 5, 2, R | W), true],
    ['not read the log of the kernel', asks(C, 1, 11, R), false],
    ['not use the default device in whose place the config has another', asks(C, 1, 5, R), false],
  ])('%s', (_what, access, allowed) => {
    expect(judge(rules, access)).toBe(allowed);
  });
});
