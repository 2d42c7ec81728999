// Numbers of the KVM API (Documentation/virt/kvm/api.rst of Linux) on x86-64.
#include "print.h"
#include <asm/kvm_para.h>
#include <linux/kvm.h>

// Newer than the oldest headers that this is built with.
#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39
#endif
#ifndef KVM_PRE_FAULT_MEMORY
#define KVM_CAP_PRE_FAULT_MEMORY 236
#define KVM_PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
struct kvm_pre_fault_memory {
  __u64 gpa;
  __u64 size;
  __u64 flags;
  __u64 padding[5];
};
#endif

int main(void)
{
  C(KVM_API_VERSION)

  // ioctls of /dev/kvm
  X(KVM_GET_API_VERSION) X(KVM_CREATE_VM) X(KVM_CHECK_EXTENSION) X(KVM_GET_VCPU_MMAP_SIZE) X(KVM_GET_SUPPORTED_CPUID)
  X(KVM_GET_MSR_INDEX_LIST) X(KVM_GET_MSR_FEATURE_INDEX_LIST)

  // ioctls of a VM
  X(KVM_CREATE_VCPU) X(KVM_SET_TSS_ADDR) X(KVM_SET_IDENTITY_MAP_ADDR) X(KVM_CREATE_IRQCHIP) X(KVM_CREATE_PIT2)
  X(KVM_SET_USER_MEMORY_REGION) X(KVM_IRQ_LINE) X(KVM_IRQFD) X(KVM_IOEVENTFD) X(KVM_REGISTER_COALESCED_MMIO)
  X(KVM_UNREGISTER_COALESCED_MMIO) X(KVM_SET_GSI_ROUTING) X(KVM_SIGNAL_MSI) X(KVM_GET_DIRTY_LOG) X(KVM_ENABLE_CAP)
  X(KVM_GET_CLOCK) X(KVM_SET_CLOCK) X(KVM_GET_IRQCHIP) X(KVM_SET_IRQCHIP) X(KVM_GET_PIT2) X(KVM_SET_PIT2)

  // ioctls of a vCPU
  X(KVM_RUN) X(KVM_GET_REGS) X(KVM_SET_REGS) X(KVM_GET_SREGS) X(KVM_SET_SREGS) X(KVM_SET_CPUID2) X(KVM_GET_CPUID2)
  X(KVM_GET_MSRS) X(KVM_SET_MSRS) X(KVM_GET_LAPIC) X(KVM_SET_LAPIC) X(KVM_GET_MP_STATE) X(KVM_SET_MP_STATE)
  X(KVM_GET_VCPU_EVENTS) X(KVM_SET_VCPU_EVENTS) X(KVM_GET_XSAVE) X(KVM_SET_XSAVE) X(KVM_GET_XCRS) X(KVM_SET_XCRS)
  X(KVM_GET_DEBUGREGS) X(KVM_SET_DEBUGREGS) X(KVM_GET_FPU) X(KVM_SET_FPU) X(KVM_GET_TSC_KHZ) X(KVM_SET_TSC_KHZ)
  X(KVM_GET_SREGS2) X(KVM_SET_SREGS2) X(KVM_GET_XSAVE2)
  X(KVM_PRE_FAULT_MEMORY) X(KVM_KVMCLOCK_CTRL) X(KVM_NMI) X(KVM_INTERRUPT) X(KVM_SET_GUEST_DEBUG)

  // capabilities
  C(KVM_CAP_IRQCHIP) C(KVM_CAP_HLT) C(KVM_CAP_USER_MEMORY) C(KVM_CAP_SET_TSS_ADDR) C(KVM_CAP_EXT_CPUID)
  C(KVM_CAP_NR_VCPUS) C(KVM_CAP_NR_MEMSLOTS) C(KVM_CAP_MP_STATE) C(KVM_CAP_COALESCED_MMIO) C(KVM_CAP_SYNC_MMU)
  C(KVM_CAP_IRQFD) C(KVM_CAP_PIT2) C(KVM_CAP_IOEVENTFD) C(KVM_CAP_IOEVENTFD_NO_LENGTH)
  C(KVM_CAP_IOEVENTFD_ANY_LENGTH) C(KVM_CAP_SET_IDENTITY_MAP_ADDR) C(KVM_CAP_ADJUST_CLOCK)
  C(KVM_CAP_INTERNAL_ERROR_DATA) C(KVM_CAP_VCPU_EVENTS) C(KVM_CAP_DEBUGREGS) C(KVM_CAP_XSAVE) C(KVM_CAP_XCRS)
  C(KVM_CAP_TSC_CONTROL) C(KVM_CAP_GET_TSC_KHZ) C(KVM_CAP_TSC_DEADLINE_TIMER) C(KVM_CAP_MAX_VCPUS)
  C(KVM_CAP_READONLY_MEM) C(KVM_CAP_SIGNAL_MSI) C(KVM_CAP_CHECK_EXTENSION_VM) C(KVM_CAP_IMMEDIATE_EXIT)
  C(KVM_CAP_KVMCLOCK_CTRL) C(KVM_CAP_X86_DISABLE_EXITS) C(KVM_CAP_DESTROY_MEMORY_REGION_WORKS)
  C(KVM_CAP_JOIN_MEMORY_REGIONS_WORKS) C(KVM_CAP_IRQ_ROUTING) C(KVM_CAP_SPLIT_IRQCHIP)
  C(KVM_CAP_XSAVE2) C(KVM_CAP_SREGS2) C(KVM_CAP_EXCEPTION_PAYLOAD) C(KVM_CAP_X86_TRIPLE_FAULT_EVENT)
  C(KVM_CAP_MAX_VCPU_ID) C(KVM_CAP_PRE_FAULT_MEMORY)

  // reasons of exits
  C(KVM_EXIT_UNKNOWN) C(KVM_EXIT_EXCEPTION) C(KVM_EXIT_IO) C(KVM_EXIT_HYPERCALL) C(KVM_EXIT_DEBUG) C(KVM_EXIT_HLT)
  C(KVM_EXIT_MMIO) C(KVM_EXIT_IRQ_WINDOW_OPEN) C(KVM_EXIT_SHUTDOWN) C(KVM_EXIT_FAIL_ENTRY) C(KVM_EXIT_INTR)
  C(KVM_EXIT_SET_TPR) C(KVM_EXIT_TPR_ACCESS) C(KVM_EXIT_NMI) C(KVM_EXIT_INTERNAL_ERROR) C(KVM_EXIT_WATCHDOG)
  C(KVM_EXIT_SYSTEM_EVENT) C(KVM_EXIT_IOAPIC_EOI) C(KVM_EXIT_HYPERV) C(KVM_EXIT_X86_RDMSR) C(KVM_EXIT_X86_WRMSR)
  C(KVM_EXIT_DIRTY_RING_FULL) C(KVM_EXIT_X86_BUS_LOCK) C(KVM_EXIT_NOTIFY)
  C(KVM_EXIT_AP_RESET_HOLD) C(KVM_EXIT_XEN) C(KVM_EXIT_MEMORY_FAULT)
  C(KVM_EXIT_IO_IN) C(KVM_EXIT_IO_OUT)
  C(KVM_INTERNAL_ERROR_EMULATION) C(KVM_INTERNAL_ERROR_SIMUL_EX) C(KVM_INTERNAL_ERROR_DELIVERY_EV)
  C(KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON) C(KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)
  C(KVM_SYSTEM_EVENT_SHUTDOWN) C(KVM_SYSTEM_EVENT_RESET) C(KVM_SYSTEM_EVENT_CRASH)

  // flags
  C(KVM_MEM_LOG_DIRTY_PAGES) C(KVM_MEM_READONLY) C(KVM_IRQFD_FLAG_DEASSIGN) C(KVM_IRQFD_FLAG_RESAMPLE)
  C(KVM_IOEVENTFD_FLAG_DATAMATCH) C(KVM_IOEVENTFD_FLAG_PIO) C(KVM_IOEVENTFD_FLAG_DEASSIGN)
  C(KVM_CPUID_FLAG_SIGNIFCANT_INDEX) C(KVM_PIT_SPEAKER_DUMMY) C(KVM_COALESCED_MMIO_PAGE_OFFSET)
  C(KVM_MP_STATE_RUNNABLE) C(KVM_MP_STATE_UNINITIALIZED) C(KVM_MP_STATE_INIT_RECEIVED) C(KVM_MP_STATE_HALTED)
  C(KVM_MP_STATE_SIPI_RECEIVED)
  X(KVM_CPUID_SIGNATURE) X(KVM_CPUID_FEATURES) C(KVM_FEATURE_CLOCKSOURCE) C(KVM_FEATURE_CLOCKSOURCE2)
  C(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT) C(KVM_FEATURE_PV_EOI) C(KVM_FEATURE_STEAL_TIME) C(KVM_FEATURE_ASYNC_PF)
  X(MSR_KVM_WALL_CLOCK_NEW) X(MSR_KVM_SYSTEM_TIME_NEW) X(MSR_KVM_WALL_CLOCK)
  C(KVM_IRQCHIP_PIC_MASTER) C(KVM_IRQCHIP_PIC_SLAVE) C(KVM_IRQCHIP_IOAPIC)
  X(KVM_CLOCK_TSC_STABLE) X(KVM_CLOCK_REALTIME) X(KVM_CLOCK_HOST_TSC)
  X(KVM_VCPUEVENT_VALID_PAYLOAD) X(KVM_VCPUEVENT_VALID_TRIPLE_FAULT) X(KVM_VCPUEVENT_VALID_SMM)

  STRUCT(kvm_run, M(request_interrupt_window) M(immediate_exit) M(exit_reason) M(ready_for_interrupt_injection)
    M(if_flag) M(flags) M(cr8) M(apic_base) M(hw.hardware_exit_reason) M(fail_entry.hardware_entry_failure_reason)
    M(fail_entry.cpu) M(io.direction) M(io.size) M(io.port) M(io.count) M(io.data_offset) M(mmio.phys_addr)
    M(mmio.data) M(mmio.len) M(mmio.is_write) M(internal.suberror) M(internal.ndata) M(internal.data)
    M(emulation_failure.flags) M(emulation_failure.insn_size) M(emulation_failure.insn_bytes)
    M(system_event.type) M(system_event.ndata) M(system_event.data))
  STRUCT(kvm_userspace_memory_region, M(slot) M(flags) M(guest_phys_addr) M(memory_size) M(userspace_addr))
  STRUCT(kvm_regs, M(rax) M(rbx) M(rcx) M(rdx) M(rsi) M(rdi) M(rsp) M(rbp) M(r8) M(r9) M(r10) M(r11) M(r12) M(r13)
    M(r14) M(r15) M(rip) M(rflags))
  STRUCT(kvm_segment, M(base) M(limit) M(selector) M(type) M(present) M(dpl) M(db) M(s) M(l) M(g) M(avl) M(unusable))
  STRUCT(kvm_dtable, M(base) M(limit))
  STRUCT(kvm_sregs, M(cs) M(ds) M(es) M(fs) M(gs) M(ss) M(tr) M(ldt) M(gdt) M(idt) M(cr0) M(cr2) M(cr3) M(cr4) M(cr8)
    M(efer) M(apic_base) M(interrupt_bitmap))
  STRUCT(kvm_cpuid2, M(nent) M(entries))
  STRUCT(kvm_cpuid_entry2, M(function) M(index) M(flags) M(eax) M(ebx) M(ecx) M(edx))
  STRUCT(kvm_msrs, M(nmsrs) M(entries))
  STRUCT(kvm_msr_entry, M(index) M(data))
  STRUCT(kvm_msr_list, M(nmsrs) M(indices))
  STRUCT(kvm_lapic_state, M(regs))
  STRUCT(kvm_mp_state, M(mp_state))
  STRUCT(kvm_pre_fault_memory, M(gpa) M(size) M(flags))
  STRUCT(kvm_irqfd, M(fd) M(gsi) M(flags) M(resamplefd))
  STRUCT(kvm_ioeventfd, M(datamatch) M(addr) M(len) M(fd) M(flags))
  STRUCT(kvm_irq_level, M(irq) M(level))
  STRUCT(kvm_pit_config, M(flags))
  STRUCT(kvm_coalesced_mmio_zone, M(addr) M(size) M(pio))
  STRUCT(kvm_coalesced_mmio, M(phys_addr) M(len) M(data))
  STRUCT(kvm_coalesced_mmio_ring, M(first) M(last) M(coalesced_mmio))
  STRUCT(kvm_enable_cap, M(cap) M(flags) M(args))
  STRUCT(kvm_clock_data, M(clock) M(flags) M(realtime) M(host_tsc))
  STRUCT(kvm_sregs2, M(flags))
  STRUCT(kvm_xsave, M(region))
  STRUCT(kvm_xcrs, M(nr_xcrs))
  STRUCT(kvm_debugregs, M(db))
  STRUCT(kvm_vcpu_events, M(exception.injected) M(exception.nr) M(interrupt.injected) M(interrupt.nr) M(flags))
  STRUCT(kvm_irqchip, M(chip_id) M(chip))
  STRUCT(kvm_pit_state2, M(channels))
  return 0;
}
