// Which model-specific registers a saved vCPU has, and how they are read and written: as many at a time as KVM takes.
// Sources: Linux, Documentation/virt/kvm/api.rst, 4.3 KVM_GET_MSR_INDEX_LIST, 4.18 KVM_GET_MSRS, 4.19 KVM_SET_MSRS;
// Documentation/virt/kvm/x86/msr.rst; Intel SDM 4, 2.1 "Architectural MSRs".
import { MSR_KVM_WALL_CLOCK, MSR_KVM_WALL_CLOCK_NEW } from './abi.gen.ts';
import type { Msr } from './registers.ts';

export const IA32_TSC = 0x10;
export const IA32_TSC_DEADLINE = 0x6e0;

/** A call takes fewer than 256 (MAX_IO_MSRS of Linux's arch/x86/kvm/x86.c). */
const MSRS_PER_CALL = 128;

function consecutive(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

/** What KVM has for a guest, but not in its list. */
const UNLISTED = [
  // IA32_MTRR_PHYSBASE0 to IA32_MTRR_PHYSMASK7, IA32_MTRR_FIX*, IA32_MTRR_DEF_TYPE.
  ...consecutive(0x200, 16),
  0x250,
  0x258,
  0x259,
  ...consecutive(0x268, 8),
  0x2ff,
  // CTL, STATUS, ADDR and MISC of the 32 machine-check banks that a vCPU has.
  ...consecutive(0x400, 4 * 32),
];

/**
 * A write to these makes KVM store the time of boot at an address in guest memory, which the guest may have put to another
 * use since; the register has no effect but this one.
 */
const WRITES_TO_MEMORY: readonly number[] = [MSR_KVM_WALL_CLOCK, MSR_KVM_WALL_CLOCK_NEW];

/** Registers of Microsoft's hypervisor interface, which no CPUID of ours offers: writing one switches its emulation on. */
const HYPERV = { first: 0x4000_0000, last: 0x4000_01ff };

/**
 * The registers to save, in the order in which they can be restored.
 * @param listed what KVM_GET_MSR_INDEX_LIST gave
 */
export function msrsToSave(listed: readonly number[]): number[] {
  const others = new Set([...listed, ...UNLISTED]);
  for (const index of [IA32_TSC, IA32_TSC_DEADLINE, ...WRITES_TO_MEMORY]) others.delete(index);
  const kept = [...others].filter((index) => index < HYPERV.first || index > HYPERV.last);
  // KVM compares the deadline with the counter when it is written: behind it, the timer fires at once.
  return [IA32_TSC, ...kept, IA32_TSC_DEADLINE];
}

/**
 * Reads registers; those that KVM does not have for this guest are left out.
 * @param get KVM_GET_MSRS: fills in values from the first on, up to one that it cannot read
 */
export function readMsrs(indices: readonly number[], get: (msrs: readonly Msr[]) => readonly Msr[]): Msr[] {
  const read: Msr[] = [];
  for (let next = 0; next < indices.length; ) {
    const batch = indices.slice(next, next + MSRS_PER_CALL).map((index) => ({ index, value: 0n }));
    const done = get(batch);
    read.push(...done);
    next += done.length === batch.length ? done.length : done.length + 1;
  }
  return read;
}

/**
 * Writes registers in their order.
 * @param set KVM_SET_MSRS: how many it has set, up to one that it refuses
 * @returns the first that was refused; a zero that is refused does not count, for then this host has no such register
 */
export function writeMsrs(msrs: readonly Msr[], set: (msrs: readonly Msr[]) => number): Msr | undefined {
  for (let next = 0; next < msrs.length; ) {
    const batch = msrs.slice(next, next + MSRS_PER_CALL);
    const done = set(batch);
    const refused = batch[done];
    if (refused !== undefined && refused.value !== 0n) return refused;
    next += refused === undefined ? batch.length : done + 1;
  }
  return undefined;
}
