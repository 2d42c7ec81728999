import { expect, test } from 'vitest';
import { isContainerId } from './state.ts';

test.each(['c1', 'A-b_c+d.e', '0', '.hidden'])('%j may name a container', (id) => {
  expect(isContainerId(id)).toBe(true);
});

test.each(['', '.', '..', 'a/b', 'a b', 'a@1', 'ä', 'a\n'])('%j may not', (id) => {
  expect(isContainerId(id)).toBe(false);
});
