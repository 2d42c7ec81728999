// The local APIC's interrupt pins, as firmware leaves them.
// Source: Intel SDM 3A, 10.5.1 "Local Vector Table"; MP specification 1.4, 3.6.2.2 "Virtual Wire Mode".

/** Register offsets (Intel SDM 3A, table 10-1). */
export const APIC_LVT_LINT0 = 0x350;
export const APIC_LVT_LINT1 = 0x360;
const DELIVERY_MODE_NMI = 0b100 << 8;
const DELIVERY_MODE_EXTINT = 0b111 << 8;

/**
 * Connects LINT0 to the 8259 (ExtINT, bootstrap processor only) and LINT1 to NMI, unmasked. The MP table says the same.
 * @param registers the register page, as Vcpu.editLocalApic gives it
 */
export function configureLocalApic(registers: DataView, vcpuIndex: number): void {
  if (vcpuIndex === 0) registers.setUint32(APIC_LVT_LINT0, DELIVERY_MODE_EXTINT, true);
  registers.setUint32(APIC_LVT_LINT1, DELIVERY_MODE_NMI, true);
}
