import { describe, expect, test } from 'vitest';
import { encodeMpTable, PROCESSOR_COUNT_MAX } from './mp-table.ts';

const ADDRESS = 0xf_0000;
const ENTRY_SIZES = [20, 8, 8, 8, 8];

interface ParsedTable {
  readonly header: DataView;
  /** Entries by their type. */
  readonly entries: readonly Uint8Array[][];
}

function sum(bytes: Uint8Array): number {
  return bytes.reduce((total, byte) => total + byte, 0) & 0xff;
}

function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/** Reads the table as a kernel does: from the floating pointer to the entries, by their types. */
function parse(bytes: Uint8Array): ParsedTable {
  const table = bytes.subarray(new DataView(bytes.buffer).getUint32(4, true) - ADDRESS);
  const header = new DataView(table.buffer, table.byteOffset, table.length);
  const entries: Uint8Array[][] = [[], [], [], [], []];
  let at = 44;
  for (let count = 0; count < header.getUint16(34, true); count++) {
    const type = table[at] ?? 0xff;
    const size = ENTRY_SIZES[type] ?? Number.NaN;
    entries[type]?.push(table.subarray(at, at + size));
    at += size;
  }
  expect(at).toBe(header.getUint16(4, true));
  return { header, entries };
}

function make(processorCount: number): Uint8Array {
  return encodeMpTable({ address: ADDRESS, processorCount, signature: 0xa20f10, features: 0x178bfbff });
}

describe('encodeMpTable', () => {
  test('both structures have their signatures, and their bytes add up to zero', () => {
    const bytes = make(2);

    expect([ascii(bytes.subarray(0, 4)), ascii(bytes.subarray(16, 20))]).toEqual(['_MP_', 'PCMP']);
    expect([sum(bytes.subarray(0, 16)), sum(bytes.subarray(16))]).toEqual([0, 0]);
    expect([bytes[8], bytes[9]]).toEqual([1, 4]);
  });

  test('the header says who made it and where the local APICs are', () => {
    const bytes = make(1);

    expect(ascii(bytes.subarray(24, 44))).toBe('TSKATA  TSVM        ');
    expect(parse(bytes).header.getUint32(36, true)).toBe(0xfee0_0000);
  });

  test('every processor is enabled, the first is the one that boots', () => {
    const [processors = []] = parse(make(3)).entries;

    expect(processors.map((entry) => [entry[1], entry[3]])).toEqual([
      [0, 3],
      [1, 1],
      [2, 1],
    ]);
    expect([...(processors[0]?.subarray(4, 12) ?? [])]).toEqual([0x10, 0x0f, 0xa2, 0, 0xff, 0xfb, 0x8b, 0x17]);
  });

  test('there is one ISA bus and one I/O APIC, with the next free identifier', () => {
    const { entries } = parse(make(3));

    expect(entries[1]?.map((entry) => ascii(entry.subarray(2)))).toEqual(['ISA   ']);
    expect(entries[2]?.map((entry) => [...entry])).toEqual([[2, 3, 0x11, 1, 0, 0, 0xc0, 0xfe]]);
  });

  test('every input but the cascade has its own interrupt number; those of virtio are edges, active high', () => {
    const interrupts = parse(make(1)).entries[3] ?? [];

    expect(interrupts.map((entry) => entry[7])).toEqual([
      0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
    ]);
    expect(interrupts.every((entry) => entry[5] === entry[7] && entry[6] === 1)).toBe(true);
    expect(interrupts.filter((entry) => entry[2] === 5).map((entry) => entry[5])).toEqual([
      5, 6, 7, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
    ]);
  });

  test('ExtINT comes in on LINT0 of the first processor, NMI on LINT1 of each', () => {
    const locals = parse(make(2)).entries[4] ?? [];

    expect(locals.map((entry) => [entry[1], entry[6], entry[7]])).toEqual([
      [3, 0, 0],
      [1, 0xff, 1],
    ]);
  });

  test('the largest table fits where it goes', () => {
    expect(make(PROCESSOR_COUNT_MAX).length).toBeLessThan(64 * 1024);
  });

  test.each([0, PROCESSOR_COUNT_MAX + 1])('refuses %d processors', (count) => {
    expect(() => make(count)).toThrow(/can name 1 to 254/);
  });
});
