// The words of linux.seccomp (OCI runtime-spec 1.2, config-linux.md, "Seccomp") and its types.

/** All but SCMP_ACT_NOTIFY, which `check.ts` refuses. */
export const SECCOMP_ACTIONS = [
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_LOG',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_TRAP',
] as const;
export type SeccompAction = (typeof SECCOMP_ACTIONS)[number];

export const SECCOMP_OPERATORS = [
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_LE',
  'SCMP_CMP_LT',
  'SCMP_CMP_MASKED_EQ',
  'SCMP_CMP_NE',
] as const;
export type SeccompOperator = (typeof SECCOMP_OPERATORS)[number];

/** Names that profiles may list. Of them the guest's processor knows SCMP_ARCH_X86, SCMP_ARCH_X86_64 and SCMP_ARCH_X32. */
export const SECCOMP_ARCHITECTURES = [
  'SCMP_ARCH_AARCH64',
  'SCMP_ARCH_ARM',
  'SCMP_ARCH_LOONGARCH64',
  'SCMP_ARCH_M68K',
  'SCMP_ARCH_MIPS',
  'SCMP_ARCH_MIPS64',
  'SCMP_ARCH_MIPS64N32',
  'SCMP_ARCH_MIPSEL',
  'SCMP_ARCH_MIPSEL64',
  'SCMP_ARCH_MIPSEL64N32',
  'SCMP_ARCH_PARISC',
  'SCMP_ARCH_PARISC64',
  'SCMP_ARCH_PPC',
  'SCMP_ARCH_PPC64',
  'SCMP_ARCH_PPC64LE',
  'SCMP_ARCH_RISCV64',
  'SCMP_ARCH_S390',
  'SCMP_ARCH_S390X',
  'SCMP_ARCH_SH',
  'SCMP_ARCH_SHEB',
  'SCMP_ARCH_X32',
  'SCMP_ARCH_X86',
  'SCMP_ARCH_X86_64',
] as const;
export type SeccompArchitecture = (typeof SECCOMP_ARCHITECTURES)[number];

/** Flags that change the filter. */
export const SECCOMP_FLAGS_SUPPORTED = [
  'SECCOMP_FILTER_FLAG_LOG',
  'SECCOMP_FILTER_FLAG_SPEC_ALLOW',
  'SECCOMP_FILTER_FLAG_TSYNC',
] as const;

/** Flags that may be set: WAIT_KILLABLE_RECV is about the listener of SCMP_ACT_NOTIFY, and there is none. */
export const SECCOMP_FLAGS = [...SECCOMP_FLAGS_SUPPORTED, 'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV'] as const;
export type SeccompFlag = (typeof SECCOMP_FLAGS)[number];

export interface LinuxSeccomp {
  readonly defaultAction: SeccompAction;
  readonly defaultErrnoRet?: number | null;
  readonly architectures?: readonly SeccompArchitecture[] | null;
  /** Not there is not the same as empty: runc sets SECCOMP_FILTER_FLAG_SPEC_ALLOW then. */
  readonly flags?: readonly SeccompFlag[] | null;
  readonly syscalls?: readonly SeccompSyscall[] | null;
}

export interface SeccompSyscall {
  readonly names: readonly string[];
  readonly action: SeccompAction;
  readonly errnoRet?: number | null;
  /** All of them must hold. */
  readonly args?: readonly SeccompArgument[] | null;
}

export interface SeccompArgument {
  /** Which argument, 0 to 5. */
  readonly index: number;
  /** 64 bits without a sign: a bigint where a number would be rounded. The mask of SCMP_CMP_MASKED_EQ. */
  readonly value: number | bigint;
  /** What SCMP_CMP_MASKED_EQ compares with. */
  readonly valueTwo?: number | bigint | null;
  readonly op: SeccompOperator;
}
