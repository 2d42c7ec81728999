// Whatever the rules: the program decides as the words in the specification do.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as abi from '../../linux/abi.gen.ts';
import { type DeviceRule, EVERY_ACCESS } from '../config/device-rules.ts';
import { compileDeviceRules } from './device-filter.ts';
import { type DeviceAccess, interpret } from './device-filter-interpreter.ts';

const type = fc.constantFrom(abi.BPF_DEVCG_DEV_CHAR, abi.BPF_DEVCG_DEV_BLOCK);
/** Few, so that rules and questions meet; the greatest among them. */
const number = fc.constantFrom(0, 1, 2, 2 ** 31, 2 ** 32 - 1);
const access = fc.integer({ min: 1, max: EVERY_ACCESS });
const rule: fc.Arbitrary<DeviceRule> = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({
      allow: fc.boolean(),
      type,
      major: fc.option(number, { nil: undefined }),
      minor: fc.option(number, { nil: undefined }),
      access,
    }),
  },
  {
    weight: 1,
    arbitrary: fc
      .boolean()
      .map((allow) => ({ allow, type: undefined, major: undefined, minor: undefined, access: EVERY_ACCESS })),
  },
);
const question: fc.Arbitrary<DeviceAccess> = fc.record({ type, major: number, minor: number, access });

/** Each kind of access by the last rule about it. */
function judge(rules: readonly DeviceRule[], asked: DeviceAccess): boolean {
  const fits = (rule: DeviceRule): boolean =>
    (rule.type ?? asked.type) === asked.type &&
    (rule.major ?? asked.major) === asked.major &&
    (rule.minor ?? asked.minor) === asked.minor;
  const kinds = [abi.BPF_DEVCG_ACC_READ, abi.BPF_DEVCG_ACC_WRITE, abi.BPF_DEVCG_ACC_MKNOD];
  return kinds
    .filter((kind) => (asked.access & kind) !== 0)
    .every((kind) => rules.findLast((rule) => fits(rule) && (rule.access & kind) !== 0)?.allow ?? false);
}

test('each kind of access is judged by the last rule that says something about it', () => {
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 12 }), question, (rules, asked) => {
      expect(interpret(compileDeviceRules(rules), asked)).toBe(judge(rules, asked));
    }),
    { numRuns: 5000 },
  );
});
