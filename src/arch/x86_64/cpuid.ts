// The CPUID that a guest sees: what hardware and KVM support together, with this machine's topology, and without what the
// machine does not have.
// Sources: Intel SDM 2A, "CPUID - CPU Identification"; AMD APM 3, appendix E; Linux, Documentation/virt/kvm/x86/cpuid.rst
// and KVM API 4.46 KVM_GET_SUPPORTED_CPUID.
import type { CpuidEntry } from '../../hypervisor/ports.ts';

export interface CpuidParameters {
  /** Index of the vCPU; its APIC identifier. */
  readonly vcpuIndex: number;
  /** vCPUs of the machine: cores of one package, one thread each. */
  readonly vcpuCount: number;
  /**
   * KVM_CAP_TSC_DEADLINE_TIMER: KVM_GET_SUPPORTED_CPUID never shows this feature, it is asked for separately. Without it
   * every timer the guest sets is an exit more.
   */
  readonly hasTscDeadlineTimer: boolean;
}

/** cpuid_entry2 flag: the leaf has subleaves, `index` counts. */
const KVM_CPUID_FLAG_SIGNIFCANT_INDEX = 1 << 0;

const LEAF_VENDOR = 0x0;
const LEAF_FEATURES = 0x1;
const LEAF_CACHES = 0x4;
const LEAF_MONITOR = 0x5;
const LEAF_EXTENDED_FEATURES = 0x7;
const LEAF_PERFORMANCE_MONITORING = 0xa;
const LEAF_TOPOLOGY = 0xb;
const LEAF_XSAVE = 0xd;
const LEAF_SGX = 0x12;
const LEAF_PROCESSOR_TRACE = 0x14;
const LEAF_AMX_TILE = 0x1d;
const LEAF_AMX_TMUL = 0x1e;
const LEAF_LAST_BRANCH_RECORDS = 0x1c;
const LEAF_TOPOLOGY_V2 = 0x1f;
const LEAF_PERFORMANCE_MONITORING_V2 = 0x23;
const LEAF_AMD_FEATURES = 0x8000_0001;
const LEAF_AMD_SIZES = 0x8000_0008;
const LEAF_SVM = 0x8000_000a;
const LEAF_AMD_IBS = 0x8000_001b;
const LEAF_AMD_CACHES = 0x8000_001d;
const LEAF_AMD_TOPOLOGY = 0x8000_001e;
const LEAF_AMD_ENCRYPTED_MEMORY = 0x8000_001f;
const LEAF_AMD_PERFORMANCE_MONITORING = 0x8000_0022;
const LEAF_AMD_TOPOLOGY_V2 = 0x8000_0026;

/** CPUID.01H:ECX */
const MONITOR = 1 << 3;
const VMX = 1 << 5;
const PDCM = 1 << 15;
const X2APIC = 1 << 21;
const TSC_DEADLINE = 1 << 24;
const HYPERVISOR = 1 << 31;
/** CPUID.01H:EDX. HTT: there are several logical processors in the package. */
const DEBUG_STORE = 1 << 21;
const HTT = 1 << 28;
/** CPUID.07H.0:EBX, ECX, EDX */
const SGX = 1 << 2;
const INTEL_PT = 1 << 25;
const SGX_LC = 1 << 30;
const HYBRID = 1 << 15;
const ARCH_LBR = 1 << 19;
const AMX_BF16 = 1 << 22;
const AMX_TILE = 1 << 24;
const AMX_INT8 = 1 << 25;
/** CPUID.0DH.0:EAX: state components 17 and 18, which are there only if the process asked Linux for them. */
const XCR0_AMX = (1 << 17) | (1 << 18);
/** CPUID.80000001H:ECX and EDX */
const CMP_LEGACY = 1 << 1;
const SVM = 1 << 2;
const IBS = 1 << 10;
const PERF_CTR_CORE = 1 << 23;
const PERF_CTR_NB = 1 << 24;
const PERF_CTR_LLC = 1 << 28;
const PAGE_1GB = 1 << 26;

/** Hygon's processors are AMD's design and have its leaves. */
const AMD_VENDORS: ReadonlySet<string> = new Set(['AuthenticAMD', 'HygonGenuine']);

/** Leaves that describe what a guest of this machine cannot have; an absent leaf reads as zeros. */
const ABSENT_LEAVES: ReadonlySet<number> = new Set([
  // MWAIT leaves the guest or blocks the core.
  LEAF_MONITOR,
  // Counters would have to be saved with every snapshot, and are a side channel.
  LEAF_PERFORMANCE_MONITORING,
  LEAF_PERFORMANCE_MONITORING_V2,
  LEAF_LAST_BRANCH_RECORDS,
  LEAF_AMD_PERFORMANCE_MONITORING,
  LEAF_AMD_IBS,
  LEAF_PROCESSOR_TRACE,
  // There is no enclave memory, no encrypted memory, no virtual machine in the virtual machine.
  LEAF_SGX,
  LEAF_AMD_ENCRYPTED_MEMORY,
  LEAF_SVM,
  // The plain topology leaves say it all.
  LEAF_AMD_TOPOLOGY_V2,
]);

/**
 * The CPUID of one vCPU.
 * @param supported what Hypervisor.supportedCpuid gave
 */
export function guestCpuid(supported: readonly CpuidEntry[], parameters: CpuidParameters): CpuidEntry[] {
  const hasAmx = supported.some(
    (entry) => entry.function === LEAF_XSAVE && entry.index === 0 && (entry.eax & XCR0_AMX) === XCR0_AMX,
  );
  const isAmd = supported.some((entry) => entry.function === LEAF_VENDOR && AMD_VENDORS.has(vendor(entry)));
  const topologyLeaves = [LEAF_TOPOLOGY, LEAF_TOPOLOGY_V2].filter(
    (leaf) => leaf === LEAF_TOPOLOGY || supported.some((entry) => entry.function === leaf),
  );
  return [
    ...supported
      .filter(({ function: leaf }) => !ABSENT_LEAVES.has(leaf) && !topologyLeaves.includes(leaf))
      .filter(({ function: leaf }) => hasAmx || (leaf !== LEAF_AMX_TILE && leaf !== LEAF_AMX_TMUL))
      .map((entry) => unsigned(adapt(entry, parameters, { hasAmx, isAmd }))),
    ...topologyLeaves.flatMap((leaf) => topologyEntries(leaf, parameters)),
  ];
}

/** Whether the processor maps 1 GiB with one page table entry. */
export function hasGigabytePages(cpuid: readonly CpuidEntry[]): boolean {
  return cpuid.some((entry) => entry.function === LEAF_AMD_FEATURES && (entry.edx & PAGE_1GB) !== 0);
}

/** CPUID.01H: EAX and EDX, as the MP table wants them. */
export function processorSignature(cpuid: readonly CpuidEntry[]): {
  readonly signature: number;
  readonly features: number;
} {
  const leaf = cpuid.find((entry) => entry.function === LEAF_FEATURES);
  return { signature: leaf?.eax ?? 0, features: leaf?.edx ?? 0 };
}

function adapt(
  entry: CpuidEntry,
  { vcpuIndex, vcpuCount, hasTscDeadlineTimer }: CpuidParameters,
  { hasAmx, isAmd }: { readonly hasAmx: boolean; readonly isAmd: boolean },
): CpuidEntry {
  const idBits = apicIdBits(vcpuCount);
  const idCount = 2 ** idBits;
  const { eax, ebx, ecx, edx } = entry;
  switch (entry.function) {
    case LEAF_VENDOR:
      return { ...entry, eax: Math.max(eax >>> 0, LEAF_TOPOLOGY) };
    case LEAF_FEATURES:
      return {
        ...entry,
        // Brand index and CLFLUSH line size stay; then identifiers in the package, and the initial APIC identifier.
        ebx: (ebx & 0xffff) | (Math.min(idCount, 0xff) << 16) | ((vcpuIndex & 0xff) << 24),
        ecx:
          (ecx & ~(MONITOR | VMX | PDCM | TSC_DEADLINE)) | X2APIC | HYPERVISOR | bit(TSC_DEADLINE, hasTscDeadlineTimer),
        edx: (edx & ~(DEBUG_STORE | HTT)) | bit(HTT, vcpuCount > 1),
      };
    case LEAF_CACHES:
    case LEAF_AMD_CACHES:
      return { ...entry, eax: cacheSharing(entry, idCount) };
    case LEAF_EXTENDED_FEATURES:
      if (entry.index !== 0) return entry;
      return {
        ...entry,
        ebx: ebx & ~(SGX | INTEL_PT),
        ecx: ecx & ~SGX_LC,
        edx: edx & ~(HYBRID | ARCH_LBR | (hasAmx ? 0 : AMX_BF16 | AMX_TILE | AMX_INT8)),
      };
    case LEAF_AMD_FEATURES:
      return {
        ...entry,
        ecx:
          (ecx & ~(SVM | CMP_LEGACY | IBS | PERF_CTR_CORE | PERF_CTR_NB | PERF_CTR_LLC)) |
          // HTT alone would mean threads of one core.
          bit(CMP_LEGACY, isAmd && vcpuCount > 1),
      };
    case LEAF_AMD_SIZES:
      // ECX: ApicIdCoreIdSize and NC (cores less one); reserved on Intel.
      return isAmd ? { ...entry, ecx: (ecx & ~0xf0ff) | (idBits << 12) | (vcpuCount - 1) } : entry;
    case LEAF_AMD_TOPOLOGY:
      // EAX: extended APIC identifier; EBX: core identifier, one thread per core; ECX: node 0 of 1.
      return isAmd ? { ...entry, eax: vcpuIndex, ebx: vcpuIndex & 0xff, ecx: 0, edx: 0 } : entry;
    default:
      return entry;
  }
}

/**
 * EAX of a cache leaf: bits 25:14 have the identifiers that share the cache, less one, bits 31:26 (Intel) those of cores in
 * the package. Caches of level 1 and 2 are a core's own, of level 3 the package's.
 */
function cacheSharing(entry: CpuidEntry, idCount: number): number {
  const type = entry.eax & 0x1f;
  const level = (entry.eax >>> 5) & 0x7;
  if (type === 0) return entry.eax;
  const sharing = level >= 3 ? idCount - 1 : 0;
  const cores = entry.function === LEAF_CACHES ? Math.min(idCount - 1, 0x3f) : 0;
  return (entry.eax & 0x3fff) | (sharing << 14) | (cores << 26);
}

/** Leaves 0BH and 1FH: level 0 is the thread, level 1 the core, then a level of type 0 (invalid) ends the list. */
function topologyEntries(leaf: number, { vcpuIndex, vcpuCount }: CpuidParameters): CpuidEntry[] {
  const INVALID = 0;
  const SMT = 1;
  const CORE = 2;
  const level = (index: number, type: number, shift: number, processors: number): CpuidEntry => ({
    function: leaf,
    index,
    flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
    eax: shift,
    ebx: processors,
    ecx: index | (type << 8),
    edx: vcpuIndex,
  });
  return [level(0, SMT, 0, 1), level(1, CORE, apicIdBits(vcpuCount), vcpuCount), level(2, INVALID, 0, 0)];
}

/** Bits of the APIC identifier that tell the cores of the package apart. */
function apicIdBits(vcpuCount: number): number {
  return Math.ceil(Math.log2(vcpuCount));
}

function bit(mask: number, isSet: boolean): number {
  return isSet ? mask : 0;
}

function vendor({ ebx, edx, ecx }: CpuidEntry): string {
  const bytes = new Uint8Array(Uint32Array.of(ebx, edx, ecx).buffer);
  return String.fromCharCode(...bytes);
}

/** Bit operations make signed numbers; registers are unsigned. */
function unsigned(entry: CpuidEntry): CpuidEntry {
  return { ...entry, eax: entry.eax >>> 0, ebx: entry.ebx >>> 0, ecx: entry.ecx >>> 0, edx: entry.edx >>> 0 };
}
