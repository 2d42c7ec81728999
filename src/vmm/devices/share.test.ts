import { expect, test } from 'vitest';
import { share } from './share.ts';

test.each([
  ['data=/srv', { tag: 'data', directory: '/srv' }],
  ['data=/srv,ro,cache=always', { tag: 'data', directory: '/srv', readOnly: true, cache: 'always' }],
  ['tag=data,directory=/srv', { tag: 'data', directory: '/srv' }],
])('--share %s is read', (text, expected) => {
  expect(share.read(text)).toEqual(expected);
});

test.each([
  ['/srv', 'TAG=DIRECTORY'],
  ['data=/srv,cache=sometimes', 'auto or always or never'],
])('--share %s is refused: %s', (text, message) => {
  expect(() => share.read(text)).toThrow(message);
});

test('a tag that is too long is refused', () => {
  expect(() => share.check({ tag: 'x'.repeat(37), directory: '/srv' })).toThrow('1 to 36 bytes');
});
