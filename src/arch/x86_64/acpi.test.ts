import { describe, expect, test } from 'vitest';
import { encodeAcpiTables } from './acpi.ts';
import { virtioMmioSlot } from './layout.ts';

const ADDRESS = 0xe_0000;

function make(rest: { virtioSlots?: number; hasSerialPort?: boolean; processorCount?: number } = {}): Uint8Array {
  const virtioSlots = Array.from({ length: rest.virtioSlots ?? 0 }, (_, index) => virtioMmioSlot(index));
  return encodeAcpiTables({ address: ADDRESS, processorCount: 2, hasSerialPort: true, ...rest, virtioSlots });
}

function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function sum(bytes: Uint8Array): number {
  return bytes.reduce((total, byte) => total + byte, 0) & 0xff;
}

/** A table by the address of its header. */
function tableAt(bytes: Uint8Array, address: bigint): Uint8Array {
  const start = Number(address) - ADDRESS;
  const length = new DataView(bytes.buffer).getUint32(start + 4, true);
  return bytes.subarray(start, start + length);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Follows the pointers as a kernel does: RSDP, XSDT, FADT, and from there to the DSDT. */
function parse(bytes: Uint8Array): Record<'xsdt' | 'fadt' | 'madt' | 'dsdt', Uint8Array> {
  const xsdt = tableAt(bytes, viewOf(bytes).getBigUint64(24, true));
  const fadt = tableAt(bytes, viewOf(xsdt).getBigUint64(36, true));
  const madt = tableAt(bytes, viewOf(xsdt).getBigUint64(44, true));
  return { xsdt, fadt, madt, dsdt: tableAt(bytes, viewOf(fadt).getBigUint64(140, true)) };
}

describe('encodeAcpiTables', () => {
  test('the pointers lead to tables with their signatures, and all bytes of each add up to zero', () => {
    const bytes = make({ virtioSlots: 3 });

    const tables = Object.values(parse(bytes));

    expect(tables.map((table) => ascii(table.subarray(0, 4)))).toEqual(['XSDT', 'FACP', 'APIC', 'DSDT']);
    expect(tables.map(sum)).toEqual([0, 0, 0, 0]);
    expect([sum(bytes.subarray(0, 20)), sum(bytes.subarray(0, 36))]).toEqual([0, 0]);
  });

  test('the machine is hardware-reduced and resets by port 0x64', () => {
    const view = viewOf(parse(make()).fadt);

    expect(view.byteLength).toBe(276);
    expect(view.getUint32(112, true) & ((1 << 20) | (1 << 10))).toBe((1 << 20) | (1 << 10));
    expect([view.getUint8(116), view.getBigUint64(120, true), view.getUint8(128)]).toEqual([1, 0x64n, 0xfe]);
  });

  test('every processor and the I/O APIC are named', () => {
    const { madt } = parse(make({ processorCount: 2 }));

    expect([...madt.subarray(36)]).toEqual([
      ...[0x00, 0x00, 0xe0, 0xfe, 0, 0, 0, 0],
      ...[0, 8, 0, 0, 1, 0, 0, 0],
      ...[0, 8, 1, 1, 1, 0, 0, 0],
      ...[1, 12, 2, 0, 0x00, 0x00, 0xc0, 0xfe, 0, 0, 0, 0],
      ...[4, 6, 0xff, 0, 0, 1],
    ]);
  });

  test('a virtio device has its page and its interrupt', () => {
    const { dsdt } = parse(make({ virtioSlots: 1, hasSerialPort: false }));

    // As iasl disassembles it: Device (VR00) { Name (_HID, "LNRO0005") Name (_UID, 0) Name (_CRS, ...) }
    const at = ascii(dsdt).indexOf('VR00') - 3;
    expect([...dsdt.subarray(at)]).toEqual([
      ...[0x5b, 0x82, 0x3c, 0x56, 0x52, 0x30, 0x30],
      ...[0x08, 0x5f, 0x48, 0x49, 0x44, 0x0d, 0x4c, 0x4e, 0x52, 0x4f, 0x30, 0x30, 0x30, 0x35, 0x00],
      ...[0x08, 0x5f, 0x55, 0x49, 0x44, 0x0a, 0x00],
      ...[0x08, 0x5f, 0x43, 0x52, 0x53, 0x11, 0x1b, 0x0b, 0x17, 0x00],
      ...[0x86, 0x09, 0x00, 0x01, 0x00, 0x00, 0x00, 0xc0, 0x00, 0x10, 0x00, 0x00],
      ...[0x89, 0x06, 0x00, 0x03, 0x01, 0x05, 0x00, 0x00, 0x00, 0x79, 0x00],
    ]);
  });

  test.each([0, 1, 17])('_S5 and the scope around %d virtio devices are all of the table', (virtioSlots) => {
    const { dsdt } = parse(make({ virtioSlots, hasSerialPort: false }));

    // Name (_S5, Package (0x02) {5, 0}), then Scope with a length of two bytes.
    const [opcode = 0, first = 0, second = 0] = dsdt.subarray(54);

    expect([...dsdt.subarray(36, 54)]).toEqual([
      ...[0x08, 0x5f, 0x53, 0x35, 0x5f, 0x12, 0x0c, 0x02],
      ...[0x0c, 5, 0, 0, 0, 0x0c, 0, 0, 0, 0],
    ]);
    expect([opcode, first >> 6, (first & 0xf) | (second << 4)]).toEqual([0x10, 1, dsdt.length - 55]);
  });

  test('the sleep registers are at the power device', () => {
    const view = viewOf(parse(make()).fadt);
    const address = (at: number): readonly (number | bigint)[] => [
      ...[view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 3)],
      view.getBigUint64(at + 4, true),
    ];

    expect([address(244), address(256)]).toEqual([
      [1, 8, 1, 0x601n],
      [1, 8, 1, 0x602n],
    ]);
  });

  test('the Generic Event Device reads the event register and notifies the power button and the generation identifier', () => {
    const { dsdt } = parse(make({ hasSerialPort: false }));

    // As iasl disassembles it: Device (GED) {... Interrupt (.., Level, ActiveHigh, Exclusive) {8} ... Method (_EVT, 1, Serialized)}
    const at = ascii(dsdt).indexOf('_CRS', ascii(dsdt).indexOf('ACPI0013')) - 1;
    expect([...dsdt.subarray(at, at + 89)]).toEqual([
      ...[0x08, 0x5f, 0x43, 0x52, 0x53, 0x11, 0x0f, 0x0b, 0x0b, 0x00],
      ...[0x89, 0x06, 0x00, 0x01, 0x01, 0x08, 0x00, 0x00, 0x00, 0x79, 0x00],
      ...[0x5b, 0x80, 0x45, 0x52, 0x45, 0x47, 0x01, 0x0b, 0x00, 0x06, 0x0a, 0x01],
      ...[0x5b, 0x81, 0x0b, 0x45, 0x52, 0x45, 0x47, 0x41, 0x45, 0x56, 0x54, 0x53, 0x08],
      ...[0x14, 0x28, 0x5f, 0x45, 0x56, 0x54, 0x09, 0x70, 0x45, 0x56, 0x54, 0x53, 0x60],
      ...[0xa0, 0x0d, 0x7b, 0x60, 0x0a, 0x01, 0x00, 0x86, 0x50, 0x57, 0x52, 0x42, 0x0a, 0x80],
      ...[0xa0, 0x0d, 0x7b, 0x60, 0x0a, 0x02, 0x00, 0x86, 0x56, 0x47, 0x45, 0x4e, 0x0a, 0x80],
      0x5b, // The next device.
      0x82,
    ]);
  });

  test('the generation identifier is where the tables do not reach', () => {
    const { dsdt } = parse(make());

    const at = ascii(dsdt).indexOf('ADDR') + 4;

    expect([...dsdt.subarray(at, at + 13)]).toEqual([0x12, 0x0c, 0x02, 0x0c, 0, 0xf0, 0x0e, 0, 0x0c, 0, 0, 0, 0]);
    expect(ascii(dsdt)).toContain('VM_Gen_Counter');
    expect(make({ virtioSlots: 17, processorCount: 254 }).length).toBeLessThan(0xf000);
  });

  test('there is a serial port only if there is one', () => {
    const names = [true, false].map((hasSerialPort) => ascii(parse(make({ hasSerialPort })).dsdt).includes('PNP0501'));

    expect(names).toEqual([true, false]);
  });
});
