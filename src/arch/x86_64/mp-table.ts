// The MP table: tells the kernel of its processors and interrupt inputs, where there is no ACPI.
// Source: Intel MultiProcessor Specification 1.4, chapter 4 "MP Configuration Table".
import { IO_APIC_ADDRESS, IO_APIC_PIN_COUNT, LEGACY_GSI, LOCAL_APIC_ADDRESS, VIRTIO_MMIO_GSIS } from './layout.ts';

/** 4.1 "MP Floating Pointer Structure" */
const FLOATING_POINTER_SIZE = 16;
/** 4.2 "MP Configuration Table Header" */
const HEADER_SIZE = 44;
const SPEC_REVISION_1_4 = 4;
/** 4.3 "Base MP Configuration Table Entries": types, and the length of each. */
const ENTRY_PROCESSOR = 0;
const PROCESSOR_SIZE = 20;
const ENTRY_BUS = 1;
const ENTRY_IO_APIC = 2;
const ENTRY_IO_INTERRUPT = 3;
const ENTRY_LOCAL_INTERRUPT = 4;
const OTHER_SIZE = 8;

/** 4.3.1: CPU FLAGS */
const PROCESSOR_ENABLED = 1 << 0;
const PROCESSOR_BOOTSTRAP = 1 << 1;
/** 4.3.3: I/O APIC FLAGS */
const IO_APIC_ENABLED = 1 << 0;
/** 4.3.4 and 4.3.5: INTERRUPT TYPE */
const INTERRUPT_TYPE_INT = 0;
const INTERRUPT_TYPE_NMI = 1;
const INTERRUPT_TYPE_EXTINT = 3;
/** 4.3.4: PO and EL. "Conforms to the specifications of the bus" means, for ISA, the same as the other. */
const CONFORMS_TO_BUS = 0;
const ACTIVE_HIGH_EDGE = 0b0101;
/** 4.3.5: DESTINATION LOCAL APIC ID: all of them. */
const ALL_LOCAL_APICS = 0xff;

/** Versions that the APIC models of KVM report. */
const LOCAL_APIC_VERSION = 0x14;
const IO_APIC_VERSION = 0x11;
const ISA_BUS_ID = 0;

/** Processors that the table can name: APIC identifiers have 8 bits, of which one is the I/O APIC's and 0xff means all. */
export const PROCESSOR_COUNT_MAX = 254;

export interface MpTableParameters {
  /** Where the result will be in guest memory: it points into itself. */
  readonly address: number;
  /** Number of processors; their APIC identifiers are 0 and up. */
  readonly processorCount: number;
  /** CPUID.01H: EAX (signature) and EDX (features). */
  readonly signature: number;
  readonly features: number;
}

/**
 * Makes the floating pointer and the table behind it.
 * @throws RangeError when there are more processors than the table can name
 */
export function encodeMpTable({ address, processorCount, signature, features }: MpTableParameters): Uint8Array {
  if (!(processorCount >= 1 && processorCount <= PROCESSOR_COUNT_MAX)) {
    throw new RangeError(`${processorCount} processors: an MP table can name 1 to ${PROCESSOR_COUNT_MAX}`);
  }
  const ioApicId = processorCount;
  const entries = [
    ...Array.from({ length: processorCount }, (_, id) => processorEntry(id, signature, features)),
    Uint8Array.of(ENTRY_BUS, ISA_BUS_ID, ...text('ISA', 6)),
    ioApicEntry(ioApicId),
    ...ioInterruptEntries(ioApicId),
    // The 8259's output comes in on LINT0 of the bootstrap processor, NMI on LINT1 of each.
    interruptEntry(ENTRY_LOCAL_INTERRUPT, INTERRUPT_TYPE_EXTINT, CONFORMS_TO_BUS, 0, 0, 0),
    interruptEntry(ENTRY_LOCAL_INTERRUPT, INTERRUPT_TYPE_NMI, CONFORMS_TO_BUS, 0, ALL_LOCAL_APICS, 1),
  ];
  const tableSize = entries.reduce((sum, entry) => sum + entry.length, HEADER_SIZE);
  const bytes = new Uint8Array(FLOATING_POINTER_SIZE + tableSize);
  const pointer = bytes.subarray(0, FLOATING_POINTER_SIZE);
  const table = bytes.subarray(FLOATING_POINTER_SIZE);
  fillHeader(table, entries.length);
  let at = HEADER_SIZE;
  for (const entry of entries) {
    table.set(entry, at);
    at += entry.length;
  }
  setChecksum(table, 7);
  fillFloatingPointer(pointer, address + FLOATING_POINTER_SIZE);
  setChecksum(pointer, 10);
  return bytes;
}

function fillFloatingPointer(bytes: Uint8Array, tableAddress: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  bytes.set(text('_MP_', 4));
  view.setUint32(4, tableAddress, true);
  // In paragraphs of 16 bytes.
  view.setUint8(8, FLOATING_POINTER_SIZE / 16);
  view.setUint8(9, SPEC_REVISION_1_4);
  // Feature bytes stay zero: there is a table, and interrupts start in virtual wire mode (no IMCR).
}

function fillHeader(table: Uint8Array, entryCount: number): void {
  const view = new DataView(table.buffer, table.byteOffset, table.length);
  table.set(text('PCMP', 4));
  view.setUint16(4, table.length, true);
  view.setUint8(6, SPEC_REVISION_1_4);
  table.set(text('TSKATA', 8), 8);
  table.set(text('TSVM', 12), 16);
  view.setUint16(34, entryCount, true);
  view.setUint32(36, LOCAL_APIC_ADDRESS, true);
}

function processorEntry(id: number, signature: number, features: number): Uint8Array {
  const entry = new Uint8Array(PROCESSOR_SIZE);
  const view = new DataView(entry.buffer);
  view.setUint8(0, ENTRY_PROCESSOR);
  view.setUint8(1, id);
  view.setUint8(2, LOCAL_APIC_VERSION);
  view.setUint8(3, PROCESSOR_ENABLED | (id === 0 ? PROCESSOR_BOOTSTRAP : 0));
  view.setUint32(4, signature, true);
  view.setUint32(8, features, true);
  return entry;
}

function ioApicEntry(id: number): Uint8Array {
  const entry = new Uint8Array(OTHER_SIZE);
  const view = new DataView(entry.buffer);
  view.setUint8(0, ENTRY_IO_APIC);
  view.setUint8(1, id);
  view.setUint8(2, IO_APIC_VERSION);
  view.setUint8(3, IO_APIC_ENABLED);
  view.setUint32(4, IO_APIC_ADDRESS, true);
  return entry;
}

/**
 * One entry per input, with the interrupt number that is the input's: KVM's default routing takes GSI n to input n, the
 * timer's included. The second 8259 has taken the cascade.
 */
function ioInterruptEntries(ioApicId: number): Uint8Array[] {
  const inputs = Array.from({ length: IO_APIC_PIN_COUNT }, (_, input) => input);
  return inputs
    .filter((input) => input !== LEGACY_GSI.cascade)
    .map((input) => {
      const flags = VIRTIO_MMIO_GSIS.includes(input) ? ACTIVE_HIGH_EDGE : CONFORMS_TO_BUS;
      return interruptEntry(ENTRY_IO_INTERRUPT, INTERRUPT_TYPE_INT, flags, input, ioApicId, input);
    });
}

/** 4.3.4 and 4.3.5: both kinds of interrupt entry have the same form. */
function interruptEntry(
  entryType: number,
  interruptType: number,
  flags: number,
  sourceIrq: number,
  destinationApic: number,
  destinationInput: number,
): Uint8Array {
  return Uint8Array.of(entryType, interruptType, flags, 0, ISA_BUS_ID, sourceIrq, destinationApic, destinationInput);
}

/** ASCII, filled up with blanks (4.2: OEM ID, PRODUCT ID; 4.3.2: BUS TYPE STRING). */
function text(value: string, length: number): Uint8Array {
  return new TextEncoder().encode(value.padEnd(length));
}

/** All bytes of a structure must add up to zero. */
function setChecksum(bytes: Uint8Array, offset: number): void {
  bytes[offset] = 0;
  bytes[offset] = -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
}
