import { expect, test } from 'vitest';
import { alignUp, GIB, KIB, MIB } from './units.ts';

test('units are powers of 1024', () => {
  expect([KIB, MIB, GIB]).toEqual([2 ** 10, 2 ** 20, 2 ** 30]);
});

test.each([
  [0, 4096, 0],
  [1, 4096, 4096],
  [4096, 4096, 4096],
  [4097, 4096, 8192],
  // Beyond 32 bits, where bit operations would not do.
  [5 * GIB + 1, 4096, 5 * GIB + 4096],
])('alignUp(%d, %d) is %d', (value, step, expected) => {
  expect(alignUp(value, step)).toBe(expected);
});
