import { expect, test } from 'vitest';
import { copyBuffers, withoutStart } from './buffers.ts';

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

test.each([
  [[6], [[1, 2, 3, 4, 5, 6]]],
  [
    [2, 0, 3, 4],
    [[1, 2], [], [3, 4, 5], [6, 0, 0, 0]],
  ],
  [[4], [[1, 2, 3, 4]]],
  [[], []],
] as const)('copied to buffers of %j bytes they fill one after the other, as far as there is room', (sizes, filled) => {
  const to = sizes.map((size) => new Uint8Array(size));
  expect(copyBuffers(buffers, to)).toBe(
    Math.min(
      6,
      sizes.reduce((sum: number, size) => sum + size, 0),
    ),
  );
  expect(to.map((buffer) => [...buffer])).toEqual(filled);
});
