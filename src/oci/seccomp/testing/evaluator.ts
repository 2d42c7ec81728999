// Says what a profile means for a call of x86-64, word by word from config-linux.md; slow, and nothing like the compiler.
import * as abi from '../abi.gen.ts';
import type { LinuxSeccomp, SeccompArgument, SeccompSyscall } from '../names.ts';
import { returnValue } from '../rules.ts';

const HOLDS: Readonly<Record<SeccompArgument['op'], (argument: bigint, value: bigint, valueTwo: bigint) => boolean>> = {
  SCMP_CMP_NE: (argument, value) => argument !== value,
  SCMP_CMP_LT: (argument, value) => argument < value,
  SCMP_CMP_LE: (argument, value) => argument <= value,
  SCMP_CMP_EQ: (argument, value) => argument === value,
  SCMP_CMP_GE: (argument, value) => argument >= value,
  SCMP_CMP_GT: (argument, value) => argument > value,
  SCMP_CMP_MASKED_EQ: (argument, value, valueTwo) => (argument & value) === (valueTwo & value),
};

function fits({ args }: SeccompSyscall, values: readonly bigint[]): boolean {
  const conditions = args ?? [];
  const holds = ({ index, op, value, valueTwo }: SeccompArgument): boolean =>
    HOLDS[op](values[index] ?? 0n, BigInt(value), BigInt(valueTwo ?? 0));
  const isRepeated = conditions.some(({ index }, at) => conditions.findIndex((other) => other.index === index) !== at);
  return isRepeated ? conditions.some(holds) : conditions.every(holds);
}

/** All answers that would be right: more than one where rules with several actions fit. */
export function rightAnswers(profile: LinuxSeccomp, name: string, number: number, values: readonly bigint[]): number[] {
  const { syscalls, architectures, defaultAction, defaultErrnoRet } = profile;
  const fallback = returnValue(defaultAction, defaultErrnoRet);
  const rules = (syscalls ?? []).filter(({ names }) => names.includes(name));
  const actionOf = ({ action, errnoRet }: SeccompSyscall): number => returnValue(action, errnoRet);
  const others = rules.filter((rule) => actionOf(rule) !== fallback);
  const whole = others.find(({ args }) => (args ?? []).length === 0);
  if (whole !== undefined) return [actionOf(whole)];
  const fitting = others.filter((rule) => fits(rule, values)).map(actionOf);
  if (fitting.length > 0) return fitting;
  const denies = fallback < abi.SECCOMP_RET_TRACE || fallback === abi.SECCOMP_RET_KILL_PROCESS;
  const isNewer = rules.length === 0 && number > greatestOf(profile);
  const isNewerDenied = denies && isNewer && (architectures ?? []).includes('SCMP_ARCH_X86_64');
  return [isNewerDenied ? abi.SECCOMP_RET_ERRNO + abi.ENOSYS : fallback];
}

/** Of the calls that the property uses, which are numbered as in the kernel. */
export const CALLS: Readonly<Record<string, number>> = { read: 0, ioctl: 16, socket: 41, clone: 56, openat2: 437 };

function greatestOf({ syscalls }: LinuxSeccomp): number {
  const numbers = (syscalls ?? []).flatMap(({ names }) => names.map((name) => CALLS[name] ?? 0));
  const greatest = Math.max(0, ...numbers);
  return greatest === 0 ? Number.POSITIVE_INFINITY : greatest;
}
