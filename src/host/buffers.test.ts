import { expect, test } from 'vitest';
import { withoutStart } from './buffers.ts';

const buffers = [Uint8Array.of(1, 2, 3), Uint8Array.of(4), Uint8Array.of(5, 6)];

test.each([
  [0, [[1, 2, 3], [4], [5, 6]]],
  [2, [[3], [4], [5, 6]]],
  [3, [[4], [5, 6]]],
  [5, [[6]]],
  [6, []],
] as const)('without their first %i bytes the rest is left', (count, rest) => {
  expect(withoutStart(buffers, count).map((buffer) => [...buffer])).toEqual(rest);
});
