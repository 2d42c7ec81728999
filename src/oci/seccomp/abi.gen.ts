// Printed by native/abi/seccomp.c; do not edit. `node native/abi/generate.ts` writes it again.
export const BPF_LD = 0;
export const BPF_ALU = 4;
export const BPF_JMP = 5;
export const BPF_RET = 6;
export const BPF_W = 0;
export const BPF_ABS = 32;
export const BPF_AND = 80;
export const BPF_K = 0;
export const BPF_JA = 0;
export const BPF_JEQ = 16;
export const BPF_JGT = 32;
export const BPF_JGE = 48;
export const BPF_JSET = 64;
export const BPF_MAXINSNS = 4096;
/** Byte offsets in struct sock_filter. */
export const sock_filter = {
  sizeof: 8,
  code: 0,
  jt: 2,
  jf: 3,
  k: 4,
} as const;
export const SECCOMP_RET_KILL_PROCESS = 0x80000000;
export const SECCOMP_RET_KILL_THREAD = 0x0;
export const SECCOMP_RET_TRAP = 0x30000;
export const SECCOMP_RET_ERRNO = 0x50000;
export const SECCOMP_RET_TRACE = 0x7ff00000;
export const SECCOMP_RET_LOG = 0x7ffc0000;
export const SECCOMP_RET_ALLOW = 0x7fff0000;
export const SECCOMP_RET_DATA = 0xffff;
export const SECCOMP_FILTER_FLAG_LOG = 0x2;
export const SECCOMP_FILTER_FLAG_SPEC_ALLOW = 0x4;
/** Byte offsets in struct seccomp_data. */
export const seccomp_data = {
  sizeof: 64,
  nr: 0,
  arch: 4,
  args: 16,
} as const;
export const AUDIT_ARCH_X86_64 = 0xc000003e;
export const AUDIT_ARCH_I386 = 0x40000003;
export const __X32_SYSCALL_BIT = 0x40000000;
export const EPERM = 1;
export const ENOSYS = 38;
