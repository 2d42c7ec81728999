// Profiles for tests.
import type { LinuxSeccomp, SeccompArgument } from '../names.ts';
import { SYSCALLS } from '../syscalls.gen.ts';

/** Calls that container engines keep from containers without capabilities. */
const KEPT =
  'acct add_key bpf chroot clone clone3 create_module delete_module finit_module fsconfig fsmount fsopen fspick get_kernel_syms init_module ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind mount mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree perf_event_open personality pidfd_getfd pivot_root process_madvise query_module quotactl quotactl_fd reboot request_key set_mempolicy setdomainname sethostname setns settimeofday socket statmount stime swapoff swapon sysfs _sysctl syslog umount umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old'.split(
    ' ',
  );

/** A profile of the shape and size of the container engines' defaults: all is denied but what is named, some by argument. */
export function largeProfile(): LinuxSeccomp {
  const names = [...new Set([...Object.keys(SYSCALLS.x86_64), ...Object.keys(SYSCALLS.i386)])].sort();
  const allow = (name: string, ...args: SeccompArgument[]) =>
    ({ names: [name], action: 'SCMP_ACT_ALLOW', args }) as const;
  const personalities = [0, 8, 0x20000, 0x20008, 0xffff_ffff];
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 1,
    architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
    syscalls: [
      { names: names.filter((name) => !KEPT.includes(name)), action: 'SCMP_ACT_ALLOW' },
      allow('socket', { index: 0, value: 40, op: 'SCMP_CMP_NE' }),
      ...personalities.map((value) => allow('personality', { index: 0, value, op: 'SCMP_CMP_EQ' })),
      allow('clone', { index: 0, value: 0x7e02_0000, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }),
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
    ],
  };
}
