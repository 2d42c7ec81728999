// Numbers of seccomp filters: classic BPF, what a filter sees and answers, and the flags for its installation.
#include "print.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/bpf_common.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

// The bit that marks calls of the x32 ABI; in the kernel's <asm/unistd.h> with the type of a number, which print.h needs.
#define __X32_SYSCALL_BIT 0x40000000

int main(void)
{
  // linux/bpf_common.h, linux/filter.h
  C(BPF_LD) C(BPF_ALU) C(BPF_JMP) C(BPF_RET) C(BPF_W) C(BPF_ABS) C(BPF_AND) C(BPF_K) C(BPF_JA) C(BPF_JEQ) C(BPF_JGT)
  C(BPF_JGE) C(BPF_JSET) C(BPF_MAXINSNS)
  LAYOUT(sock_filter, SIZE M(code) M(jt) M(jf) M(k))

  // linux/seccomp.h
  X(SECCOMP_RET_KILL_PROCESS) X(SECCOMP_RET_KILL_THREAD) X(SECCOMP_RET_TRAP) X(SECCOMP_RET_ERRNO) X(SECCOMP_RET_TRACE)
  X(SECCOMP_RET_LOG) X(SECCOMP_RET_ALLOW) X(SECCOMP_RET_DATA)
  X(SECCOMP_FILTER_FLAG_LOG) X(SECCOMP_FILTER_FLAG_SPEC_ALLOW)
  LAYOUT(seccomp_data, SIZE M(nr) M(arch) M(args))

  // linux/audit.h, asm/unistd.h, errno.h
  X(AUDIT_ARCH_X86_64) X(AUDIT_ARCH_I386) X(__X32_SYSCALL_BIT)
  C(EPERM) C(ENOSYS)
  return 0;
}
