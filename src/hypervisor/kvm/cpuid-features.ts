// Whether a host has the processor features that a saved guest was started with.
// Sources: Intel SDM 2A, "CPUID - CPU Identification"; AMD APM 3, appendix E; Linux, Documentation/virt/kvm/x86/cpuid.rst.
import type { CpuidEntry } from '../ports.ts';

type CpuidRegister = 'eax' | 'ebx' | 'ecx' | 'edx';

/** A register of CPUID of which each bit is a feature. */
interface FeatureRegister {
  readonly leaf: number;
  readonly index?: number;
  readonly register: CpuidRegister;
  /** Bits that tell about topology or the guest's own settings, or that KVM_GET_SUPPORTED_CPUID does not show. */
  readonly others?: number;
}

const LEAF_VENDOR = 0;
const TSC_DEADLINE = 1 << 24;
// MONITOR (follows IA32_MISC_ENABLE), X2APIC, TSC_DEADLINE, OSXSAVE (follows CR4), HYPERVISOR.
const LEAF_1_ECX_OTHERS = (1 << 3) | (1 << 21) | TSC_DEADLINE | (1 << 27) | (1 << 31);
const HTT = 1 << 28;
const OSPKE = 1 << 4;
const CMP_LEGACY = 1 << 1;

const FEATURES: readonly FeatureRegister[] = [
  { leaf: 1, register: 'ecx', others: LEAF_1_ECX_OTHERS },
  { leaf: 1, register: 'edx', others: HTT },
  { leaf: 7, index: 0, register: 'ebx' },
  { leaf: 7, index: 0, register: 'ecx', others: OSPKE },
  { leaf: 7, index: 0, register: 'edx' },
  { leaf: 7, index: 1, register: 'eax' },
  { leaf: 7, index: 1, register: 'edx' },
  { leaf: 7, index: 2, register: 'edx' },
  { leaf: 0xd, index: 0, register: 'eax' },
  { leaf: 0xd, index: 0, register: 'edx' },
  { leaf: 0xd, index: 1, register: 'eax' },
  { leaf: 0x4000_0001, register: 'eax' },
  { leaf: 0x8000_0001, register: 'ecx', others: CMP_LEGACY },
  { leaf: 0x8000_0001, register: 'edx' },
  { leaf: 0x8000_0007, register: 'edx' },
  { leaf: 0x8000_0008, register: 'ebx' },
  { leaf: 0x8000_0021, register: 'eax' },
];

function find(entries: readonly CpuidEntry[], leaf: number, index = 0): CpuidEntry | undefined {
  return entries.find((entry) => entry.function === leaf && entry.index === index);
}

function vendor(entries: readonly CpuidEntry[]): string {
  const { ebx = 0, edx = 0, ecx = 0 } = find(entries, LEAF_VENDOR) ?? {};
  return String.fromCharCode(...new Uint8Array(Uint32Array.of(ebx, edx, ecx).buffer));
}

function hexadecimal(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}

/** What CPUID of this host is compared with. */
export interface HostCpu {
  /** KVM_GET_SUPPORTED_CPUID */
  readonly supported: readonly CpuidEntry[];
  readonly hasTscDeadlineTimer: boolean;
}

/**
 * What a guest's CPUID promises and this host does not have.
 * @returns the differences in words, such as "leaf 0x7.0 EBX bits 0x10000"; empty when there is none
 */
export function missingFeatures(guest: readonly CpuidEntry[], { supported, hasTscDeadlineTimer }: HostCpu): string[] {
  if (guest.length > 0 && vendor(guest) !== vendor(supported))
    return [`a processor of ${vendor(guest)} (this host's is of ${vendor(supported)})`];
  const missing = FEATURES.flatMap(({ leaf, index, register, others = 0 }) => {
    const wanted = find(guest, leaf, index)?.[register] ?? 0;
    const bits = wanted & ~(find(supported, leaf, index)?.[register] ?? 0) & ~others;
    if (bits === 0) return [];
    const name = index === undefined ? hexadecimal(leaf) : `${hexadecimal(leaf)}.${index}`;
    return [`CPUID leaf ${name} ${register.toUpperCase()} bits ${hexadecimal(bits)}`];
  });
  const wantsDeadline = ((find(guest, 1)?.ecx ?? 0) & TSC_DEADLINE) !== 0;
  return wantsDeadline && !hasTscDeadlineTimer ? [...missing, 'KVM_CAP_TSC_DEADLINE_TIMER'] : missing;
}
