import { expect, test } from 'vitest';
import { fillRandom, randomHex, randomUuid } from './random.ts';

test('random bytes fill all there is, differently each time', () => {
  const [first, second] = [fillRandom(new Uint8Array(64)), fillRandom(new Uint8Array(64))];

  expect(first.subarray(48)).not.toEqual(new Uint8Array(16));
  expect(first).not.toEqual(second);
});

test('random bytes stay within the view', () => {
  const all = new Uint8Array(64);

  fillRandom(all.subarray(16, 48));

  expect(all.subarray(0, 16)).toEqual(new Uint8Array(16));
  expect(all.subarray(48)).toEqual(new Uint8Array(16));
});

test('a random UUID is one of version 4, another each time', () => {
  expect(randomUuid()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(randomUuid()).not.toBe(randomUuid());
});

test('random hexadecimal digits are two for each byte, others each time', () => {
  expect(randomHex(4)).toMatch(/^[0-9a-f]{8}$/);
  expect(randomHex(16)).not.toBe(randomHex(16));
});
