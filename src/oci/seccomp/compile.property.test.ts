import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as abi from './abi.gen.ts';
import { compileSeccomp } from './compile.ts';
import { type LinuxSeccomp, SECCOMP_ACTIONS, SECCOMP_OPERATORS } from './names.ts';
import { CALLS, rightAnswers } from './testing/evaluator.ts';
import { runFilter } from './testing/interpreter.ts';

const EDGES = [0n, 1n, 2n, 40n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 32n + 1n, 2n ** 63n, 2n ** 64n - 1n];
const value = fc.oneof(fc.constantFrom(...EDGES), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));
const action = fc.constantFrom(...SECCOMP_ACTIONS);
const argument = fc.record({
  index: fc.nat(2),
  value,
  valueTwo: value,
  op: fc.constantFrom(...SECCOMP_OPERATORS),
});
const syscall = fc.record({
  names: fc.subarray([...Object.keys(CALLS), 'nosuchcall'], { minLength: 1 }),
  action,
  args: fc.array(argument, { maxLength: 3 }),
});

/** Rules with the same conditions and different actions are refused: a test of its own. */
function compiles(profile: LinuxSeccomp): boolean {
  try {
    return compileSeccomp(profile).program.length > 0;
  } catch {
    return false;
  }
}

const profile: fc.Arbitrary<LinuxSeccomp> = fc
  .record({
    defaultAction: action,
    architectures: fc.subarray(['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'] as const),
    syscalls: fc.array(syscall, { maxLength: 8 }),
  })
  .filter(compiles);

test('the kernel would decide on calls as the profile says', () => {
  fc.assert(
    fc.property(profile, fc.array(fc.tuple(value, value, value), { minLength: 1, maxLength: 8 }), (seccomp, calls) => {
      const { program } = compileSeccomp(seccomp);
      for (const [name, nr] of Object.entries(CALLS)) {
        for (const args of calls) {
          const verdict = runFilter(program, { arch: abi.AUDIT_ARCH_X86_64, nr, args }).value;
          expect(rightAnswers(seccomp, name, nr, args)).toContain(verdict);
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test('rules in another order, and with their conditions in another, mean the same', () => {
  fc.assert(
    fc.property(profile, fc.tuple(value, value, value), (seccomp, args) => {
      const rules = (seccomp.syscalls ?? []).filter((rule) => (rule.args ?? []).length > 0);
      const turned = rules.toReversed().map((rule) => ({ ...rule, args: (rule.args ?? []).toReversed() }));
      // A rule without conditions may have hidden that others contradict each other.
      fc.pre(compiles({ ...seccomp, syscalls: rules }));
      const programs = [rules, turned].map((syscalls) => compileSeccomp({ ...seccomp, syscalls }).program);
      for (const nr of Object.values(CALLS)) {
        const [straight, reversed] = programs.map((program) =>
          runFilter(program, { arch: abi.AUDIT_ARCH_X86_64, nr, args }),
        );
        expect(reversed?.value).toBe(straight?.value);
      }
    }),
    { numRuns: 500 },
  );
});
