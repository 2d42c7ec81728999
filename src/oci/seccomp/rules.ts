// What a profile asks of each system call of one architecture, in the manner of libseccomp, on which runc builds.
import { ConfigError } from '../check.ts';
import * as abi from './abi.gen.ts';
import type { LinuxSeccomp, SeccompAction, SeccompArgument } from './names.ts';
import { SYSCALLS } from './syscalls.gen.ts';

export type Architecture = keyof typeof SYSCALLS;

/** How an argument is compared; the other operators are the opposites of these. */
export type Comparison = 'MASKED_EQ' | 'GE' | 'GT';

/** A comparison of one argument: `(argument & mask) comparison value`, and the opposite where `negated`. */
export interface Condition {
  readonly index: number;
  readonly comparison: Comparison;
  readonly negated: boolean;
  readonly mask: bigint;
  readonly value: bigint;
}

/** What happens to a call whose arguments meet all conditions. */
export interface Rule {
  readonly conditions: readonly Condition[];
  /** SECCOMP_RET_*, with its data. */
  readonly action: number;
}

export interface SyscallRules {
  /** By number. The first rule that fits decides; where none does, the default action. */
  readonly rules: ReadonlyMap<number, readonly Rule[]>;
  /** The greatest number that the profile names; 0 where it names none. */
  readonly greatest: number;
}

const RETURN_VALUES: Readonly<Record<SeccompAction, number>> = {
  SCMP_ACT_ALLOW: abi.SECCOMP_RET_ALLOW,
  SCMP_ACT_ERRNO: abi.SECCOMP_RET_ERRNO,
  SCMP_ACT_KILL: abi.SECCOMP_RET_KILL_THREAD,
  SCMP_ACT_KILL_PROCESS: abi.SECCOMP_RET_KILL_PROCESS,
  SCMP_ACT_KILL_THREAD: abi.SECCOMP_RET_KILL_THREAD,
  SCMP_ACT_LOG: abi.SECCOMP_RET_LOG,
  SCMP_ACT_TRACE: abi.SECCOMP_RET_TRACE,
  SCMP_ACT_TRAP: abi.SECCOMP_RET_TRAP,
};

/** What a filter returns for an action: config-linux.md, `errnoRet`: "If not specified then its default value is EPERM". */
export function returnValue(action: SeccompAction, errno: number | null | undefined): number {
  const hasData = action === 'SCMP_ACT_ERRNO' || action === 'SCMP_ACT_TRACE';
  return RETURN_VALUES[action] + (hasData ? (errno ?? abi.EPERM) : 0);
}

/** Of an argument the 32-bit ABIs have the lower half. */
const WORD_MASK = 2n ** 32n - 1n;
const FULL_MASK = 2n ** 64n - 1n;

/** The mask of an argument's bits that count. */
export function argumentMask(architecture: Architecture): bigint {
  return architecture === 'x86_64' ? FULL_MASK : WORD_MASK;
}

/**
 * Collects the rules of a profile for an architecture. Names that it has no call for are left out, and so are rules that say
 * what the default action says.
 * @throws ConfigError for two actions on the same conditions
 */
export function rulesOf(seccomp: LinuxSeccomp, architecture: Architecture): SyscallRules {
  const rules = new Map<number, Rule[]>();
  const defaultAction = returnValue(seccomp.defaultAction, seccomp.defaultErrnoRet);
  let greatest = 0;
  for (const [index, { names, action: name, errnoRet, args }] of (seccomp.syscalls ?? []).entries()) {
    const action = returnValue(name, errnoRet);
    const alternatives = splitArguments(args ?? []).map((group) =>
      group.map((argument) => readCondition(argument, argumentMask(architecture))),
    );
    for (const call of names) {
      for (const { number, selector } of doorsTo(architecture, call)) {
        greatest = Math.max(greatest, number);
        if (action === defaultAction) continue;
        for (const conditions of alternatives) {
          const rule = { conditions: behind(selector, conditions), action };
          rules.set(number, withRule(rules.get(number), rule, `linux.seccomp.syscalls[${index}]`, call));
        }
      }
    }
  }
  return { rules: new Map([...rules].map(([number, list]) => [number, list.toSorted(compareRules)])), greatest };
}

/** Conditions must all hold. Where two are on the same argument, runc takes each for a rule of its own, and so do profiles. */
function splitArguments(args: readonly SeccompArgument[]): SeccompArgument[][] {
  const isRepeated = new Set(args.map(({ index }) => index)).size < args.length;
  return isRepeated ? args.map((argument) => [argument]) : [args.toSorted((a, b) => a.index - b.index)];
}

function readCondition({ index, op, value, valueTwo }: SeccompArgument, width: bigint): Condition {
  const [first, second] = [BigInt(value) & width, BigInt(valueTwo ?? 0) & width];
  const compare = (comparison: Comparison, negated: boolean): Condition => {
    return { index, comparison, negated, mask: width, value: first };
  };
  switch (op) {
    case 'SCMP_CMP_EQ':
      return compare('MASKED_EQ', false);
    case 'SCMP_CMP_NE':
      return compare('MASKED_EQ', true);
    case 'SCMP_CMP_GE':
      return compare('GE', false);
    case 'SCMP_CMP_LT':
      return compare('GE', true);
    case 'SCMP_CMP_GT':
      return compare('GT', false);
    case 'SCMP_CMP_LE':
      return compare('GT', true);
    case 'SCMP_CMP_MASKED_EQ':
      // libseccomp compares under the mask on both sides.
      return { ...compare('MASKED_EQ', false), mask: first, value: second & first };
  }
}

/** The calls of linux/net.h and linux/ipc.h that i386 has behind one number, with their numbers there. */
const SOCKETCALLS =
  'socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg'.split(
    ' ',
  );
const IPC_CALLS: Readonly<Record<string, number>> = {
  semop: 1,
  semget: 2,
  semctl: 3,
  semtimedop: 4,
  msgsnd: 11,
  msgrcv: 12,
  msgget: 13,
  msgctl: 14,
  shmat: 21,
  shmdt: 22,
  shmget: 23,
  shmctl: 24,
};

/** A number by which a call is made, and its number behind that one. */
interface Door {
  readonly number: number;
  readonly selector?: number;
}

/** All ways to make a call. On i386, calls for sockets and System V IPC go through socketcall(2) and ipc(2) as well. */
function doorsTo(architecture: Architecture, name: string): Door[] {
  const direct = lookUp(SYSCALLS[architecture], name);
  const doors: Door[] = direct === undefined ? [] : [{ number: direct }];
  if (architecture !== 'i386') return doors;
  const socketcall = SOCKETCALLS.indexOf(name) + 1;
  if (socketcall > 0) doors.push({ number: SYSCALLS.i386.socketcall, selector: socketcall });
  const ipcCall = lookUp(IPC_CALLS, name);
  if (ipcCall !== undefined) doors.push({ number: SYSCALLS.i386.ipc, selector: ipcCall });
  return doors;
}

/** Names come from the profile: none of them may reach what all objects have. */
function lookUp(table: Readonly<Record<string, number>>, name: string): number | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** The first argument of socketcall(2) and ipc(2) selects the call; libseccomp takes conditions on the others as they are. */
function behind(selector: number | undefined, conditions: readonly Condition[]): readonly Condition[] {
  if (selector === undefined) return conditions;
  const selected: Condition = {
    index: 0,
    comparison: 'MASKED_EQ',
    negated: false,
    mask: WORD_MASK,
    value: BigInt(selector),
  };
  return [selected, ...conditions.filter(({ index }) => index !== 0)];
}

/** Adds a rule as libseccomp does: the first without conditions stands for the whole call. */
function withRule(list: Rule[] = [], rule: Rule, path: string, call: string): Rule[] {
  if (list[0]?.conditions.length === 0) return list;
  if (rule.conditions.length === 0) return [rule];
  const same = list.find((other) => compareRules(other, rule) === 0);
  if (same === undefined) return [...list, rule];
  if (same.action === rule.action) return list;
  throw new ConfigError(
    path,
    call,
    'one action for each system call and condition: another rule has the same condition',
  );
}

/**
 * Which of two rules is asked first. Callers know libseccomp's order: later arguments before earlier ones, equality before
 * order, and of limits the tighter one.
 */
function compareRules(a: Rule, b: Rule): number {
  for (const [position, left] of a.conditions.entries()) {
    const right = b.conditions[position];
    const order = right === undefined ? 1 : compareConditions(left, right);
    if (order !== 0) return order;
  }
  return a.conditions.length - b.conditions.length;
}

function compareConditions(a: Condition, b: Condition): number {
  return (
    b.index - a.index ||
    weight(b) - weight(a) ||
    (weight(a) === LOWER_WEIGHT ? compareValues(a.value, b.value) : compareValues(b.value, a.value)) ||
    compareValues(b.mask, a.mask) ||
    a.comparison.localeCompare(b.comparison) ||
    Number(a.negated) - Number(b.negated)
  );
}

const EQUALITY_WEIGHT = 3;
const LOWER_WEIGHT = 2;
const GREATER_WEIGHT = 1;

function weight({ comparison, negated }: Condition): number {
  if (comparison === 'MASKED_EQ') return EQUALITY_WEIGHT;
  return negated ? LOWER_WEIGHT : GREATER_WEIGHT;
}

function compareValues(a: bigint, b: bigint): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
