// Model-specific registers that do not start as KVM leaves them.
// Source: Intel SDM 4, 2.1 "Architectural MSRs".

const IA32_MISC_ENABLE = 0x1a0;
const FAST_STRINGS_ENABLE = 1n << 0n;
/** Branch trace storage and precise event sampling are not there: the CPUID has no performance monitoring either. */
const BTS_UNAVAILABLE = 1n << 11n;
const PEBS_UNAVAILABLE = 1n << 12n;

const IA32_MTRR_DEF_TYPE = 0x2ff;
const MTRR_ENABLE = 1n << 11n;
const MTRR_TYPE_WRITE_BACK = 6n;

/**
 * MSRs to set on every vCPU before it runs. All memory is write-back: without a firmware that set up its MTRRs, Linux
 * would take it for uncached and turn PAT off.
 */
export const BOOT_MSRS: readonly { readonly index: number; readonly value: bigint }[] = [
  { index: IA32_MISC_ENABLE, value: FAST_STRINGS_ENABLE | BTS_UNAVAILABLE | PEBS_UNAVAILABLE },
  { index: IA32_MTRR_DEF_TYPE, value: MTRR_ENABLE | MTRR_TYPE_WRITE_BACK },
];
