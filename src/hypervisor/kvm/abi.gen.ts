// Printed by native/abi/kvm.c; do not edit. `node native/abi/generate.ts` writes it again.
export const KVM_API_VERSION = 12;
export const KVM_GET_API_VERSION = 0xae00;
export const KVM_CREATE_VM = 0xae01;
export const KVM_CHECK_EXTENSION = 0xae03;
export const KVM_GET_VCPU_MMAP_SIZE = 0xae04;
export const KVM_GET_SUPPORTED_CPUID = 0xc008ae05;
export const KVM_GET_MSR_INDEX_LIST = 0xc004ae02;
export const KVM_GET_MSR_FEATURE_INDEX_LIST = 0xc004ae0a;
export const KVM_CREATE_VCPU = 0xae41;
export const KVM_SET_TSS_ADDR = 0xae47;
export const KVM_SET_IDENTITY_MAP_ADDR = 0x4008ae48;
export const KVM_CREATE_IRQCHIP = 0xae60;
export const KVM_CREATE_PIT2 = 0x4040ae77;
export const KVM_SET_USER_MEMORY_REGION = 0x4020ae46;
export const KVM_IRQ_LINE = 0x4008ae61;
export const KVM_IRQFD = 0x4020ae76;
export const KVM_IOEVENTFD = 0x4040ae79;
export const KVM_REGISTER_COALESCED_MMIO = 0x4010ae67;
export const KVM_UNREGISTER_COALESCED_MMIO = 0x4010ae68;
export const KVM_SET_GSI_ROUTING = 0x4008ae6a;
export const KVM_SIGNAL_MSI = 0x4020aea5;
export const KVM_GET_DIRTY_LOG = 0x4010ae42;
export const KVM_ENABLE_CAP = 0x4068aea3;
export const KVM_GET_CLOCK = 0x8030ae7c;
export const KVM_SET_CLOCK = 0x4030ae7b;
export const KVM_GET_IRQCHIP = 0xc208ae62;
export const KVM_SET_IRQCHIP = 0x8208ae63;
export const KVM_GET_PIT2 = 0x8070ae9f;
export const KVM_SET_PIT2 = 0x4070aea0;
export const KVM_RUN = 0xae80;
export const KVM_GET_REGS = 0x8090ae81;
export const KVM_SET_REGS = 0x4090ae82;
export const KVM_GET_SREGS = 0x8138ae83;
export const KVM_SET_SREGS = 0x4138ae84;
export const KVM_SET_CPUID2 = 0x4008ae90;
export const KVM_GET_CPUID2 = 0xc008ae91;
export const KVM_GET_MSRS = 0xc008ae88;
export const KVM_SET_MSRS = 0x4008ae89;
export const KVM_GET_LAPIC = 0x8400ae8e;
export const KVM_SET_LAPIC = 0x4400ae8f;
export const KVM_GET_MP_STATE = 0x8004ae98;
export const KVM_SET_MP_STATE = 0x4004ae99;
export const KVM_GET_VCPU_EVENTS = 0x8040ae9f;
export const KVM_SET_VCPU_EVENTS = 0x4040aea0;
export const KVM_GET_XSAVE = 0x9000aea4;
export const KVM_SET_XSAVE = 0x5000aea5;
export const KVM_GET_XCRS = 0x8188aea6;
export const KVM_SET_XCRS = 0x4188aea7;
export const KVM_GET_DEBUGREGS = 0x8080aea1;
export const KVM_SET_DEBUGREGS = 0x4080aea2;
export const KVM_GET_FPU = 0x81a0ae8c;
export const KVM_SET_FPU = 0x41a0ae8d;
export const KVM_GET_TSC_KHZ = 0xaea3;
export const KVM_SET_TSC_KHZ = 0xaea2;
export const KVM_GET_SREGS2 = 0x8140aecc;
export const KVM_SET_SREGS2 = 0x4140aecd;
export const KVM_GET_XSAVE2 = 0x9000aecf;
export const KVM_PRE_FAULT_MEMORY = 0xc040aed5;
export const KVM_KVMCLOCK_CTRL = 0xaead;
export const KVM_NMI = 0xae9a;
export const KVM_INTERRUPT = 0x4004ae86;
export const KVM_SET_GUEST_DEBUG = 0x4048ae9b;
export const KVM_CAP_IRQCHIP = 0;
export const KVM_CAP_HLT = 1;
export const KVM_CAP_USER_MEMORY = 3;
export const KVM_CAP_SET_TSS_ADDR = 4;
export const KVM_CAP_EXT_CPUID = 7;
export const KVM_CAP_NR_VCPUS = 9;
export const KVM_CAP_NR_MEMSLOTS = 10;
export const KVM_CAP_MP_STATE = 14;
export const KVM_CAP_COALESCED_MMIO = 15;
export const KVM_CAP_SYNC_MMU = 16;
export const KVM_CAP_IRQFD = 32;
export const KVM_CAP_PIT2 = 33;
export const KVM_CAP_IOEVENTFD = 36;
export const KVM_CAP_IOEVENTFD_NO_LENGTH = 100;
export const KVM_CAP_IOEVENTFD_ANY_LENGTH = 122;
export const KVM_CAP_SET_IDENTITY_MAP_ADDR = 37;
export const KVM_CAP_ADJUST_CLOCK = 39;
export const KVM_CAP_INTERNAL_ERROR_DATA = 40;
export const KVM_CAP_VCPU_EVENTS = 41;
export const KVM_CAP_DEBUGREGS = 50;
export const KVM_CAP_XSAVE = 55;
export const KVM_CAP_XCRS = 56;
export const KVM_CAP_TSC_CONTROL = 60;
export const KVM_CAP_GET_TSC_KHZ = 61;
export const KVM_CAP_TSC_DEADLINE_TIMER = 72;
export const KVM_CAP_MAX_VCPUS = 66;
export const KVM_CAP_READONLY_MEM = 81;
export const KVM_CAP_SIGNAL_MSI = 77;
export const KVM_CAP_CHECK_EXTENSION_VM = 105;
export const KVM_CAP_IMMEDIATE_EXIT = 136;
export const KVM_CAP_KVMCLOCK_CTRL = 76;
export const KVM_CAP_X86_DISABLE_EXITS = 143;
export const KVM_CAP_DESTROY_MEMORY_REGION_WORKS = 21;
export const KVM_CAP_JOIN_MEMORY_REGIONS_WORKS = 30;
export const KVM_CAP_IRQ_ROUTING = 25;
export const KVM_CAP_SPLIT_IRQCHIP = 121;
export const KVM_CAP_XSAVE2 = 208;
export const KVM_CAP_SREGS2 = 200;
export const KVM_CAP_EXCEPTION_PAYLOAD = 164;
export const KVM_CAP_X86_TRIPLE_FAULT_EVENT = 218;
export const KVM_CAP_MAX_VCPU_ID = 128;
export const KVM_CAP_PRE_FAULT_MEMORY = 236;
export const KVM_EXIT_UNKNOWN = 0;
export const KVM_EXIT_EXCEPTION = 1;
export const KVM_EXIT_IO = 2;
export const KVM_EXIT_HYPERCALL = 3;
export const KVM_EXIT_DEBUG = 4;
export const KVM_EXIT_HLT = 5;
export const KVM_EXIT_MMIO = 6;
export const KVM_EXIT_IRQ_WINDOW_OPEN = 7;
export const KVM_EXIT_SHUTDOWN = 8;
export const KVM_EXIT_FAIL_ENTRY = 9;
export const KVM_EXIT_INTR = 10;
export const KVM_EXIT_SET_TPR = 11;
export const KVM_EXIT_TPR_ACCESS = 12;
export const KVM_EXIT_NMI = 16;
export const KVM_EXIT_INTERNAL_ERROR = 17;
export const KVM_EXIT_WATCHDOG = 21;
export const KVM_EXIT_SYSTEM_EVENT = 24;
export const KVM_EXIT_IOAPIC_EOI = 26;
export const KVM_EXIT_HYPERV = 27;
export const KVM_EXIT_X86_RDMSR = 29;
export const KVM_EXIT_X86_WRMSR = 30;
export const KVM_EXIT_DIRTY_RING_FULL = 31;
export const KVM_EXIT_X86_BUS_LOCK = 33;
export const KVM_EXIT_NOTIFY = 37;
export const KVM_EXIT_AP_RESET_HOLD = 32;
export const KVM_EXIT_XEN = 34;
export const KVM_EXIT_MEMORY_FAULT = 39;
export const KVM_EXIT_IO_IN = 0;
export const KVM_EXIT_IO_OUT = 1;
export const KVM_INTERNAL_ERROR_EMULATION = 1;
export const KVM_INTERNAL_ERROR_SIMUL_EX = 2;
export const KVM_INTERNAL_ERROR_DELIVERY_EV = 3;
export const KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON = 4;
export const KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES = 1;
export const KVM_SYSTEM_EVENT_SHUTDOWN = 1;
export const KVM_SYSTEM_EVENT_RESET = 2;
export const KVM_SYSTEM_EVENT_CRASH = 3;
export const KVM_MEM_LOG_DIRTY_PAGES = 1;
export const KVM_MEM_READONLY = 2;
export const KVM_IRQFD_FLAG_DEASSIGN = 1;
export const KVM_IRQFD_FLAG_RESAMPLE = 2;
export const KVM_IOEVENTFD_FLAG_DATAMATCH = 1;
export const KVM_IOEVENTFD_FLAG_PIO = 2;
export const KVM_IOEVENTFD_FLAG_DEASSIGN = 4;
export const KVM_CPUID_FLAG_SIGNIFCANT_INDEX = 1;
export const KVM_PIT_SPEAKER_DUMMY = 1;
export const KVM_COALESCED_MMIO_PAGE_OFFSET = 2;
export const KVM_MP_STATE_RUNNABLE = 0;
export const KVM_MP_STATE_UNINITIALIZED = 1;
export const KVM_MP_STATE_INIT_RECEIVED = 2;
export const KVM_MP_STATE_HALTED = 3;
export const KVM_MP_STATE_SIPI_RECEIVED = 4;
export const KVM_CPUID_SIGNATURE = 0x40000000;
export const KVM_CPUID_FEATURES = 0x40000001;
export const KVM_FEATURE_CLOCKSOURCE = 0;
export const KVM_FEATURE_CLOCKSOURCE2 = 3;
export const KVM_FEATURE_CLOCKSOURCE_STABLE_BIT = 24;
export const KVM_FEATURE_PV_EOI = 6;
export const KVM_FEATURE_STEAL_TIME = 5;
export const KVM_FEATURE_ASYNC_PF = 4;
export const MSR_KVM_WALL_CLOCK_NEW = 0x4b564d00;
export const MSR_KVM_SYSTEM_TIME_NEW = 0x4b564d01;
export const MSR_KVM_WALL_CLOCK = 0x11;
export const KVM_IRQCHIP_PIC_MASTER = 0;
export const KVM_IRQCHIP_PIC_SLAVE = 1;
export const KVM_IRQCHIP_IOAPIC = 2;
export const KVM_CLOCK_TSC_STABLE = 0x2;
export const KVM_CLOCK_REALTIME = 0x4;
export const KVM_CLOCK_HOST_TSC = 0x8;
export const KVM_VCPUEVENT_VALID_PAYLOAD = 0x10;
export const KVM_VCPUEVENT_VALID_TRIPLE_FAULT = 0x20;
export const KVM_VCPUEVENT_VALID_SMM = 0x8;
/** Byte offsets in struct kvm_run. */
export const kvm_run = {
  sizeof: 2352,
  request_interrupt_window: 0,
  immediate_exit: 1,
  exit_reason: 8,
  ready_for_interrupt_injection: 12,
  if_flag: 13,
  flags: 14,
  cr8: 16,
  apic_base: 24,
  'hw.hardware_exit_reason': 32,
  'fail_entry.hardware_entry_failure_reason': 32,
  'fail_entry.cpu': 40,
  'io.direction': 32,
  'io.size': 33,
  'io.port': 34,
  'io.count': 36,
  'io.data_offset': 40,
  'mmio.phys_addr': 32,
  'mmio.data': 40,
  'mmio.len': 48,
  'mmio.is_write': 52,
  'internal.suberror': 32,
  'internal.ndata': 36,
  'internal.data': 40,
  'emulation_failure.flags': 40,
  'emulation_failure.insn_size': 48,
  'emulation_failure.insn_bytes': 49,
  'system_event.type': 32,
  'system_event.ndata': 36,
  'system_event.data': 40,
} as const;
/** Byte offsets in struct kvm_userspace_memory_region. */
export const kvm_userspace_memory_region = {
  sizeof: 32,
  slot: 0,
  flags: 4,
  guest_phys_addr: 8,
  memory_size: 16,
  userspace_addr: 24,
} as const;
/** Byte offsets in struct kvm_regs. */
export const kvm_regs = {
  sizeof: 144,
  rax: 0,
  rbx: 8,
  rcx: 16,
  rdx: 24,
  rsi: 32,
  rdi: 40,
  rsp: 48,
  rbp: 56,
  r8: 64,
  r9: 72,
  r10: 80,
  r11: 88,
  r12: 96,
  r13: 104,
  r14: 112,
  r15: 120,
  rip: 128,
  rflags: 136,
} as const;
/** Byte offsets in struct kvm_segment. */
export const kvm_segment = {
  sizeof: 24,
  base: 0,
  limit: 8,
  selector: 12,
  type: 14,
  present: 15,
  dpl: 16,
  db: 17,
  s: 18,
  l: 19,
  g: 20,
  avl: 21,
  unusable: 22,
} as const;
/** Byte offsets in struct kvm_dtable. */
export const kvm_dtable = {
  sizeof: 16,
  base: 0,
  limit: 8,
} as const;
/** Byte offsets in struct kvm_sregs. */
export const kvm_sregs = {
  sizeof: 312,
  cs: 0,
  ds: 24,
  es: 48,
  fs: 72,
  gs: 96,
  ss: 120,
  tr: 144,
  ldt: 168,
  gdt: 192,
  idt: 208,
  cr0: 224,
  cr2: 232,
  cr3: 240,
  cr4: 248,
  cr8: 256,
  efer: 264,
  apic_base: 272,
  interrupt_bitmap: 280,
} as const;
/** Byte offsets in struct kvm_cpuid2. */
export const kvm_cpuid2 = {
  sizeof: 8,
  nent: 0,
  entries: 8,
} as const;
/** Byte offsets in struct kvm_cpuid_entry2. */
export const kvm_cpuid_entry2 = {
  sizeof: 40,
  function: 0,
  index: 4,
  flags: 8,
  eax: 12,
  ebx: 16,
  ecx: 20,
  edx: 24,
} as const;
/** Byte offsets in struct kvm_msrs. */
export const kvm_msrs = {
  sizeof: 8,
  nmsrs: 0,
  entries: 8,
} as const;
/** Byte offsets in struct kvm_msr_entry. */
export const kvm_msr_entry = {
  sizeof: 16,
  index: 0,
  data: 8,
} as const;
/** Byte offsets in struct kvm_msr_list. */
export const kvm_msr_list = {
  sizeof: 4,
  nmsrs: 0,
  indices: 4,
} as const;
/** Byte offsets in struct kvm_lapic_state. */
export const kvm_lapic_state = {
  sizeof: 1024,
  regs: 0,
} as const;
/** Byte offsets in struct kvm_mp_state. */
export const kvm_mp_state = {
  sizeof: 4,
  mp_state: 0,
} as const;
/** Byte offsets in struct kvm_pre_fault_memory. */
export const kvm_pre_fault_memory = {
  sizeof: 64,
  gpa: 0,
  size: 8,
  flags: 16,
} as const;
/** Byte offsets in struct kvm_irqfd. */
export const kvm_irqfd = {
  sizeof: 32,
  fd: 0,
  gsi: 4,
  flags: 8,
  resamplefd: 12,
} as const;
/** Byte offsets in struct kvm_ioeventfd. */
export const kvm_ioeventfd = {
  sizeof: 64,
  datamatch: 0,
  addr: 8,
  len: 16,
  fd: 20,
  flags: 24,
} as const;
/** Byte offsets in struct kvm_irq_level. */
export const kvm_irq_level = {
  sizeof: 8,
  irq: 0,
  level: 4,
} as const;
/** Byte offsets in struct kvm_pit_config. */
export const kvm_pit_config = {
  sizeof: 64,
  flags: 0,
} as const;
/** Byte offsets in struct kvm_coalesced_mmio_zone. */
export const kvm_coalesced_mmio_zone = {
  sizeof: 16,
  addr: 0,
  size: 8,
  pio: 12,
} as const;
/** Byte offsets in struct kvm_coalesced_mmio. */
export const kvm_coalesced_mmio = {
  sizeof: 24,
  phys_addr: 0,
  len: 8,
  data: 16,
} as const;
/** Byte offsets in struct kvm_coalesced_mmio_ring. */
export const kvm_coalesced_mmio_ring = {
  sizeof: 8,
  first: 0,
  last: 4,
  coalesced_mmio: 8,
} as const;
/** Byte offsets in struct kvm_enable_cap. */
export const kvm_enable_cap = {
  sizeof: 104,
  cap: 0,
  flags: 4,
  args: 8,
} as const;
/** Byte offsets in struct kvm_clock_data. */
export const kvm_clock_data = {
  sizeof: 48,
  clock: 0,
  flags: 8,
  realtime: 16,
  host_tsc: 24,
} as const;
/** Byte offsets in struct kvm_sregs2. */
export const kvm_sregs2 = {
  sizeof: 320,
  flags: 280,
} as const;
/** Byte offsets in struct kvm_xsave. */
export const kvm_xsave = {
  sizeof: 4096,
  region: 0,
} as const;
/** Byte offsets in struct kvm_xcrs. */
export const kvm_xcrs = {
  sizeof: 392,
  nr_xcrs: 0,
} as const;
/** Byte offsets in struct kvm_debugregs. */
export const kvm_debugregs = {
  sizeof: 128,
  db: 0,
} as const;
/** Byte offsets in struct kvm_vcpu_events. */
export const kvm_vcpu_events = {
  sizeof: 64,
  'exception.injected': 0,
  'exception.nr': 1,
  'interrupt.injected': 8,
  'interrupt.nr': 9,
  flags: 20,
} as const;
/** Byte offsets in struct kvm_irqchip. */
export const kvm_irqchip = {
  sizeof: 520,
  chip_id: 0,
  chip: 8,
} as const;
/** Byte offsets in struct kvm_pit_state2. */
export const kvm_pit_state2 = {
  sizeof: 112,
  channels: 0,
} as const;
