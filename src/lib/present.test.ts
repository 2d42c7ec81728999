import { expect, test } from 'vitest';
import { present } from './present.ts';

test('a key without a value is not there; all other values stay', () => {
  const kept = { zero: 0, no: false, empty: '', nothing: null };

  expect(Object.entries(present({ ...kept, absent: undefined }))).toEqual(Object.entries(kept));
});
