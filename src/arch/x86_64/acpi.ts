// ACPI tables, for kernels that read no MP table and take no devices from the command line: those of distributions.
// The machine is "hardware-reduced" (ACPI specification 6.5, 4.1): no ACPI registers, no legacy interrupt controller and
// timer to set up, and every device with its interrupt is named in the DSDT.
import { POWER_EVENT, POWER_REGISTER, SLEEP_TYPE_S5 } from '../../devices/legacy/power.ts';
import {
  byteRegister,
  currentResources,
  device,
  edgeInterrupt,
  ioPorts,
  levelInterrupt,
  loadLocal0,
  memory32Fixed,
  method,
  nameByte,
  namePackage,
  nameString,
  notifyIfLocal0Has,
  scope,
} from './aml.ts';
import {
  ACPI_EVENTS_GSI,
  GENERATION_ID_ADDRESS,
  IO_APIC_ADDRESS,
  LEGACY_GSI,
  LOCAL_APIC_ADDRESS,
  PORTS,
  type VirtioMmioSlot,
} from './layout.ts';

export interface AcpiParameters {
  /** Where the result will be in guest memory: the tables point at each other. */
  readonly address: number;
  /** Number of processors; their APIC identifiers are 0 and up. */
  readonly processorCount: number;
  readonly virtioSlots: readonly VirtioMmioSlot[];
  /** Whether there is a serial port at COM1. */
  readonly hasSerialPort: boolean;
}

/** 5.2.5.3 "Root System Description Pointer (RSDP) Structure" */
const RSDP_SIZE = 36;
const RSDP_FIRST_CHECKSUM_SIZE = 20;
const RSDP_REVISION = 2;
/** 5.2.6 "System Description Table Header" */
const HEADER_SIZE = 36;
const OEM_ID = 'TSKATA';
const OEM_TABLE_ID = 'TSVM    ';
/** 5.2.9 "Fixed ACPI Description Table (FADT)" */
const FADT_SIZE = 276;
const FADT_REVISION = 6;
const FADT_MINOR_REVISION = 5;
/** IA-PC boot architecture flags: no VGA, no MSI; an 8042 is not named, for it has neither keyboard nor mouse. */
const VGA_NOT_PRESENT = 1 << 2;
const MSI_NOT_SUPPORTED = 1 << 3;
/**
 * Fixed feature flags: WBINVD works; the power button is a device in the namespace and there is no sleep button; there is a
 * reset register; hardware-reduced.
 */
const WBINVD = 1 << 0;
const PWR_BUTTON = 1 << 4;
const SLP_BUTTON = 1 << 5;
const RESET_REG_SUP = 1 << 10;
const HW_REDUCED_ACPI = 1 << 20;
/** The reset register is the 8042's command port; bit 0 of 0xfe pulses the reset line. */
const RESET_PORT = PORTS.i8042.base + 4;
const RESET_VALUE = 0xfe;
const ADDRESS_SPACE_SYSTEM_IO = 1;
const ACCESS_SIZE_BYTE = 1;
const CENTURY_INDEX = 0x32;
/** 5.2.12 "Multiple APIC Description Table (MADT)" */
const MADT_REVISION = 5;
const MADT_LOCAL_APIC = 0;
const MADT_IO_APIC = 1;
const MADT_LOCAL_APIC_NMI = 4;
const LOCAL_APIC_ENABLED = 1;
const ALL_PROCESSORS = 0xff;
const NMI_LINT = 1;
const DSDT_REVISION = 2;
const XSDT_REVISION = 1;

/** Makes all tables, the RSDP first. */
export function encodeAcpiTables(parameters: AcpiParameters): Uint8Array {
  const { address } = parameters;
  const dsdt = table('DSDT', DSDT_REVISION, dsdtBody(parameters));
  const dsdtAddress = address + RSDP_SIZE;
  const fadt = table('FACP', FADT_REVISION, fadtBody(dsdtAddress));
  const fadtAddress = dsdtAddress + dsdt.length;
  const madt = table('APIC', MADT_REVISION, madtBody(parameters.processorCount));
  const madtAddress = fadtAddress + fadt.length;
  const xsdtBody = new Uint8Array(16);
  const pointers = new DataView(xsdtBody.buffer);
  pointers.setBigUint64(0, BigInt(fadtAddress), true);
  pointers.setBigUint64(8, BigInt(madtAddress), true);
  const xsdt = table('XSDT', XSDT_REVISION, xsdtBody);
  const parts = [rsdp(madtAddress + madt.length), dsdt, fadt, madt, xsdt];
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function rsdp(xsdtAddress: number): Uint8Array {
  const bytes = new Uint8Array(RSDP_SIZE);
  const view = new DataView(bytes.buffer);
  bytes.set(ascii('RSD PTR '));
  bytes.set(ascii(OEM_ID), 9);
  view.setUint8(15, RSDP_REVISION);
  view.setUint32(20, RSDP_SIZE, true);
  view.setBigUint64(24, BigInt(xsdtAddress), true);
  setChecksum(bytes.subarray(0, RSDP_FIRST_CHECKSUM_SIZE), 8);
  setChecksum(bytes, 32);
  return bytes;
}

function table(signature: string, revision: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE + body.length);
  const view = new DataView(bytes.buffer);
  bytes.set(ascii(signature));
  view.setUint32(4, bytes.length, true);
  view.setUint8(8, revision);
  bytes.set(ascii(OEM_ID), 10);
  bytes.set(ascii(OEM_TABLE_ID), 16);
  view.setUint32(24, 1, true);
  bytes.set(ascii('TSVM'), 28);
  view.setUint32(32, 1, true);
  bytes.set(body, HEADER_SIZE);
  setChecksum(bytes, 9);
  return bytes;
}

function fadtBody(dsdtAddress: number): Uint8Array {
  const bytes = new Uint8Array(FADT_SIZE - HEADER_SIZE);
  const view = new DataView(bytes.buffer);
  const at = (offset: number): number => offset - HEADER_SIZE;
  view.setUint8(at(108), CENTURY_INDEX);
  view.setUint16(at(109), VGA_NOT_PRESENT | MSI_NOT_SUPPORTED, true);
  view.setUint32(at(112), WBINVD | PWR_BUTTON | SLP_BUTTON | RESET_REG_SUP | HW_REDUCED_ACPI, true);
  // Generic Address Structures (5.2.3.2).
  const setBytePort = (offset: number, port: number): void => {
    view.setUint8(offset, ADDRESS_SPACE_SYSTEM_IO);
    view.setUint8(offset + 1, 8);
    view.setUint8(offset + 3, ACCESS_SIZE_BYTE);
    view.setBigUint64(offset + 4, BigInt(port), true);
  };
  setBytePort(at(116), RESET_PORT);
  setBytePort(at(244), PORTS.power.base + POWER_REGISTER.sleepControl);
  setBytePort(at(256), PORTS.power.base + POWER_REGISTER.sleepStatus);
  view.setUint8(at(128), RESET_VALUE);
  view.setUint8(at(131), FADT_MINOR_REVISION);
  view.setBigUint64(at(140), BigInt(dsdtAddress), true);
  bytes.set(ascii('TSVM'), at(268));
  return bytes;
}

function madtBody(processorCount: number): Uint8Array {
  const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
  const processors = Array.from({ length: processorCount }, (_, id) => [
    ...[MADT_LOCAL_APIC, 8, id, id],
    ...u32(LOCAL_APIC_ENABLED),
  ]);
  return Uint8Array.of(
    ...u32(LOCAL_APIC_ADDRESS),
    // No flags: no 8259 is to be set up.
    ...u32(0),
    ...processors.flat(),
    ...[MADT_IO_APIC, 12, processorCount, 0, ...u32(IO_APIC_ADDRESS), ...u32(0)],
    ...[MADT_LOCAL_APIC_NMI, 6, ALL_PROCESSORS, 0, 0, NMI_LINT],
  );
}

/** The devices. LNRO0005 is virtio-mmio (Linux, drivers/virtio/virtio_mmio.c; QEMU made the name up). */
function dsdtBody({ virtioSlots, hasSerialPort }: AcpiParameters): Uint8Array {
  const serial = device('COM1', [
    ...nameString('_HID', 'PNP0501'),
    ...nameByte('_UID', 1),
    ...currentResources(ioPorts(PORTS.serial.base, PORTS.serial.length), edgeInterrupt(LEGACY_GSI.serial)),
  ]);
  // Without an interrupt: it has no alarm.
  const clock = device('RTC_', [
    ...nameString('_HID', 'PNP0B00'),
    ...currentResources(ioPorts(PORTS.cmos.base, PORTS.cmos.length)),
  ]);
  const virtio = virtioSlots.map((slot, index) =>
    device(`VR${String(index).padStart(2, '0')}`, [
      ...nameString('_HID', 'LNRO0005'),
      ...nameByte('_UID', index),
      ...currentResources(memory32Fixed(slot.address, slot.size), edgeInterrupt(slot.gsi)),
    ]),
  );
  const devices = [...(hasSerialPort ? serial : []), ...clock, ...powerDevices(), ...PANIC_DEVICE, ...virtio.flat()];
  // _S5: SLP_TYP for SLEEP_CONTROL_REG; the second value is for machines with two such registers.
  return Uint8Array.from([...namePackage('_S5_', [SLEEP_TYPE_S5, 0]), ...scope('\\_SB_', devices)]);
}

/** 5.6.6 "Device Object Notifications": for the power button "S0 Power Button Pressed", for others their own. */
const NOTIFICATION = 0x80;

/** The power button, the VM generation identifier, and the Generic Event Device that speaks for both. */
function powerDevices(): readonly number[] {
  const button = device('PWRB', [...nameString('_HID', 'PNP0C0C'), ...nameByte('_UID', 0)]);
  const generation = device('VGEN', [
    ...nameString('_HID', 'TSVM0001'),
    ...nameString('_CID', 'VM_Gen_Counter'),
    ...nameString('_DDN', 'VM_Gen_Counter'),
    // The low and the high half of its address.
    ...namePackage('ADDR', [GENERATION_ID_ADDRESS, 0]),
  ]);
  const events = device('GED_', [
    ...nameString('_HID', 'ACPI0013'),
    ...nameByte('_UID', 0),
    ...currentResources(levelInterrupt(ACPI_EVENTS_GSI)),
    ...byteRegister('EREG', 'EVTS', PORTS.power.base + POWER_REGISTER.events),
    ...method('_EVT', 1, [
      ...loadLocal0('EVTS'),
      ...notifyIfLocal0Has(POWER_EVENT.powerButton, 'PWRB', NOTIFICATION),
      ...notifyIfLocal0Has(POWER_EVENT.newGeneration, 'VGEN', NOTIFICATION),
    ]),
  ]);
  return [...button, ...generation, ...events];
}

/** QEMU, docs/specs/pvpanic.rst, "ACPI Interface"; Linux takes the port from _CRS. */
const PANIC_DEVICE = device('PEVT', [
  ...nameString('_HID', 'QEMU0001'),
  ...currentResources(ioPorts(PORTS.pvpanic.base, PORTS.pvpanic.length)),
]);

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** All bytes of a structure must add up to zero. */
function setChecksum(bytes: Uint8Array, offset: number): void {
  bytes[offset] = 0;
  bytes[offset] = -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}
