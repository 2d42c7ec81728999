import { describe, expect, test } from 'vitest';
import { GIB } from '../../lib/units.ts';
import { encodePageTables } from './page-tables.ts';

const ADDRESS = 0x9000;

/** Walks the tables like a processor (Intel SDM 3A, 4.5.4). Gives the physical address, or undefined for a page fault. */
function translate(tables: Uint8Array, linear: number): number | undefined {
  const view = new DataView(tables.buffer);
  let table = ADDRESS;
  for (const shift of [39, 30, 21]) {
    const index = Math.floor(linear / 2 ** shift) % 512;
    const entry = view.getBigUint64(table - ADDRESS + index * 8, true);
    const isPresentAndWritable = (entry & 3n) === 3n;
    const target = Number(entry & ~0xfffn);
    if (!isPresentAndWritable) return undefined;
    if ((entry & 0x80n) !== 0n) return target + (linear % 2 ** shift);
    table = target;
  }
  return undefined;
}

describe.each([
  ['2 MiB', false, 6],
  ['1 GiB', true, 2],
] as const)('encodePageTables with pages of %s', (_, hasGigabytePages, tableCount) => {
  const tables = encodePageTables(ADDRESS, hasGigabytePages);

  test('maps every address below 4 GiB to itself', () => {
    const samples = Array.from({ length: 4096 }, (_, index) => index * 2 ** 20 + index);

    expect(samples.map((linear) => translate(tables, linear))).toEqual(samples);
  });

  test('maps nothing else', () => {
    expect([4 * GIB, 512 * GIB, 2 ** 47].map((linear) => translate(tables, linear))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test(`takes ${tableCount} tables`, () => {
    expect(tables.length).toBe(tableCount * 4096);
  });
});
