import { expect, test } from 'vitest';
import { parseDurationMs, parseInteger } from './go-values.ts';

test.each<[string, number | undefined]>([
  ['5s', 5000],
  ['100ms', 100],
  ['1m30s', 90_000],
  ['1.5h', 5_400_000],
  ['250us', 0.25],
  ['250µs', 0.25],
  ['1ns', 1e-6],
  ['.5s', 500],
  ['2.s', 2000],
  ['-1s', -1000],
  ['+1s', 1000],
  ['0', 0],
  ['', undefined],
  ['5', undefined],
  ['s', undefined],
  ['5 s', undefined],
  ['5d', undefined],
  ['1s!', undefined],
  ['--1s', undefined],
  ['1e3s', undefined],
])('the duration %j is %j milliseconds', (text, expected) => {
  expect(parseDurationMs(text)).toBe(expected);
});

test.each<[string, number | undefined]>([
  ['0', 0],
  ['-1', -1],
  ['+7', 7],
  ['0x10', 16],
  ['-0x10', -16],
  ['9223372036854775807', 2 ** 63],
  ['9223372036854775808000', undefined],
  ['', undefined],
  ['1.5', undefined],
  ['1e3', undefined],
  ['ten', undefined],
])('the whole number %j is %j', (text, expected) => {
  expect(parseInteger(text)).toBe(expected);
});
