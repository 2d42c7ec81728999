import { describe, expect, test } from 'vitest';
import { guestAddress } from './brand.ts';

describe('guestAddress', () => {
  test.each([0, 0x1000, 2 ** 52 - 1])('takes %d', (value) => {
    expect(guestAddress(value)).toBe(value);
  });

  test('takes what the ABI gives, a bigint', () => {
    expect(guestAddress(0xc000_0000n)).toBe(0xc000_0000);
  });

  test.each([-1, 0.5, 2 ** 52, Number.NaN, Number.POSITIVE_INFINITY, 2n ** 52n, -1n])('refuses %s', (value) => {
    expect(() => guestAddress(value)).toThrow(RangeError);
  });
});
