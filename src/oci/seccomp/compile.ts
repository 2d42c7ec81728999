// Compiles linux.seccomp (OCI runtime-spec 1.2, config-linux.md, "Seccomp") to the filter that the guest's kernel runs.
// Decisions that the specification leaves open are runc's and libseccomp's.
import { ConfigError } from '../check.ts';
import * as abi from './abi.gen.ts';
import type { LinuxSeccomp, SeccompArchitecture, SeccompFlag } from './names.ts';
import { ProgramBuilder, type Target } from './program.ts';
import { type Architecture, argumentMask, type Condition, type Rule, returnValue, rulesOf } from './rules.ts';

export interface SeccompFilter {
  /** An array of struct sock_filter, 8 bytes each, little-endian. */
  readonly program: Uint8Array;
  /** SECCOMP_FILTER_FLAG_* for seccomp(2). */
  readonly flags: number;
}

/** Calls with numbers from `first` to where the next range begins. */
interface Range {
  readonly first: number;
  readonly architecture: Architecture;
  readonly rules: readonly Rule[];
}

const PROFILE_NAMES: Readonly<Record<Architecture, SeccompArchitecture>> = {
  x86_64: 'SCMP_ARCH_X86_64',
  i386: 'SCMP_ARCH_X86',
  x32: 'SCMP_ARCH_X32',
};

/** What libseccomp does to calls of architectures that the profile does not list (SCMP_FLTATR_ACT_BADARCH). */
const BAD_ARCHITECTURE = abi.SECCOMP_RET_KILL_THREAD;

/** The number by which a tracer has a call skipped: it must not be taken for one of x32 (seccomp(2), "SECCOMP_RET_TRACE"). */
const SKIPPED_CALL = 0xffff_ffff;

/** Bits of TSYNC and WAIT_KILLABLE_RECV would do nothing: a new process has one thread, and the filter no listener. */
const FLAGS: Readonly<Record<SeccompFlag, number>> = {
  SECCOMP_FILTER_FLAG_LOG: abi.SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: abi.SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_FILTER_FLAG_TSYNC: 0,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 0,
};

/**
 * Compiles a checked profile.
 * @throws ConfigError for rules that contradict each other, and for more than BPF_MAXINSNS instructions
 */
export function compileSeccomp(seccomp: LinuxSeccomp): SeccompFilter {
  const builder = new ProgramBuilder();
  const defaultAction = returnValue(seccomp.defaultAction, seccomp.defaultErrnoRet);
  const outcomes = new Map<string, Target>();
  const section = (ranges: readonly Range[]): Target => {
    const targets = ranges.map((range) => {
      const key = outcomeKey(range);
      const target = outcomes.get(key) ?? emitOutcome(builder, range, defaultAction);
      outcomes.set(key, target);
      return { first: range.first, target };
    });
    return builder.load(abi.seccomp_data.nr, emitSearch(builder, targets));
  };
  let entry = builder.return(BAD_ARCHITECTURE);
  if (isListed(seccomp, 'i386')) {
    entry = builder.compare(abi.BPF_JEQ, abi.AUDIT_ARCH_I386, section(rangesOf(seccomp, 'i386')), entry);
  }
  entry = builder.compare(abi.BPF_JEQ, abi.AUDIT_ARCH_X86_64, section(nativeRanges(seccomp)), entry);
  builder.load(abi.seccomp_data.arch, entry);
  if (builder.length > abi.BPF_MAXINSNS) {
    const allowed = `at most ${abi.BPF_MAXINSNS} instructions when compiled: use fewer conditions on arguments`;
    throw new ConfigError('linux.seccomp', `${builder.length} instructions`, allowed);
  }
  return { program: builder.encode(), flags: flagsOf(seccomp) };
}

/** runc: without a list of flags, SPEC_ALLOW, which keeps speculation as fast as it is without a filter. */
function flagsOf({ flags }: LinuxSeccomp): number {
  return (flags ?? ['SECCOMP_FILTER_FLAG_SPEC_ALLOW']).reduce((bits, flag) => bits | FLAGS[flag], 0);
}

function isListed(seccomp: LinuxSeccomp, architecture: Architecture): boolean {
  return (seccomp.architectures ?? []).includes(PROFILE_NAMES[architecture]);
}

/** Calls of x86-64, which it has listed or not, and above __X32_SYSCALL_BIT those of x32. */
function nativeRanges(seccomp: LinuxSeccomp): Range[] {
  const architecture = 'x86_64';
  const native = rangesOf(seccomp, architecture);
  if (isListed(seccomp, 'x32')) return [...native, ...rangesOf(seccomp, 'x32', abi.__X32_SYSCALL_BIT)];
  return [
    ...native,
    { first: abi.__X32_SYSCALL_BIT, architecture, rules: always(BAD_ARCHITECTURE) },
    { first: SKIPPED_CALL, architecture, rules: [] },
  ];
}

function always(action: number): readonly Rule[] {
  return [{ conditions: [], action }];
}

/** @param base what is added to numbers */
function rangesOf(seccomp: LinuxSeccomp, architecture: Architecture, base = 0): Range[] {
  const { rules, greatest } = rulesOf(seccomp, architecture);
  const ranges: Range[] = [{ first: base, architecture, rules: [] }];
  for (const [number, list] of [...rules].sort(([a], [b]) => a - b)) {
    ranges.push({ first: base + number, architecture, rules: list });
    ranges.push({ first: base + number + 1, architecture, rules: [] });
  }
  if (base + greatest > 0 && isListed(seccomp, architecture) && isDenial(seccomp)) {
    ranges.push({ first: base + greatest + 1, architecture, rules: always(abi.SECCOMP_RET_ERRNO + abi.ENOSYS) });
  }
  // What begins where another begins takes its place; what says the same goes on.
  return ranges
    .filter(({ first }, index) => ranges[index + 1]?.first !== first)
    .filter((range, index, all) => index === 0 || outcomeKey(range) !== outcomeKey(all[index - 1] ?? range));
}

/**
 * Whether calls that are newer than the profile get ENOSYS, on which C libraries fall back to older ones, in place of the default
 * action. So in runc, unless that is permissive; a tracer is taken to know newer calls.
 */
function isDenial({ defaultAction }: LinuxSeccomp): boolean {
  return !['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE'].includes(defaultAction);
}

/** Equal for ranges whose calls are treated alike. */
function outcomeKey({ rules, architecture }: Range): string {
  return rules
    .map(({ conditions, action }) => {
      const parts = conditions.map(({ index, comparison, negated, mask, value }) =>
        [index, comparison, negated, mask, value].join(),
      );
      return `${parts.length === 0 ? '' : argumentMask(architecture)} ${parts.join('&')} ${action}`;
    })
    .join('|');
}

/** Finds a call's range: a balanced search by number, which is in the accumulator. */
function emitSearch(builder: ProgramBuilder, ranges: readonly { first: number; target: Target }[]): Target {
  const [only] = ranges;
  if (only !== undefined && ranges.length === 1) return only.target;
  const middle = ranges.slice(ranges.length >> 1);
  const upper = emitSearch(builder, middle);
  const lower = emitSearch(builder, ranges.slice(0, ranges.length >> 1));
  return builder.compare(abi.BPF_JGE, middle[0]?.first ?? 0, upper, lower);
}

function emitOutcome(builder: ProgramBuilder, { rules, architecture }: Range, defaultAction: number): Target {
  return rules.reduceRight((otherwise, { conditions, action }) => {
    return conditions.reduceRight(
      (then, condition) => emitCondition(builder, condition, architecture, then, otherwise),
      builder.return(action),
    );
  }, builder.return(defaultAction));
}

function emitCondition(
  builder: ProgramBuilder,
  condition: Condition,
  architecture: Architecture,
  ifTrue: Target,
  ifFalse: Target,
): Target {
  const { index, comparison, negated, mask, value } = condition;
  const [then, otherwise] = negated ? [ifFalse, ifTrue] : [ifTrue, ifFalse];
  const lowOffset = abi.seccomp_data.args + index * BYTES_PER_ARGUMENT;
  const highOffset = lowOffset + BYTES_PER_ARGUMENT / 2;
  const isWide = architecture === 'x86_64';
  if (comparison === 'MASKED_EQ') {
    const lower = emitMaskedEqual(builder, lowOffset, low(mask), low(value), then, otherwise);
    return isWide ? emitMaskedEqual(builder, highOffset, high(mask), high(value), lower, otherwise) : lower;
  }
  const jump = comparison === 'GE' ? abi.BPF_JGE : abi.BPF_JGT;
  const lower = builder.load(lowOffset, builder.compare(jump, low(value), then, otherwise));
  if (!isWide) return lower;
  const equal = builder.compare(abi.BPF_JEQ, high(value), lower, otherwise);
  return builder.load(highOffset, builder.compare(abi.BPF_JGT, high(value), then, equal));
}

/** Compares a word under a mask; one without any bits is always equal. */
function emitMaskedEqual(
  builder: ProgramBuilder,
  offset: number,
  mask: number,
  value: number,
  then: Target,
  otherwise: Target,
): Target {
  if (mask === 0) return then;
  return builder.load(offset, builder.compare(abi.BPF_JEQ, value, then, otherwise), mask);
}

/** Arguments are 64 bits in struct seccomp_data, whatever the architecture; little-endian here. */
const BYTES_PER_ARGUMENT = 8;

function low(value: bigint): number {
  return Number(BigInt.asUintN(32, value));
}

function high(value: bigint): number {
  return Number(value >> 32n);
}
