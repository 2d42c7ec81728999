import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { parseSignal } from './signals.ts';

describe('parseSignal', () => {
  test.each(Object.entries(constants.signals))('knows %s as the system does', (name, number) => {
    expect(parseSignal(name)).toBe(number);
    expect(parseSignal(name.slice('SIG'.length).toLowerCase())).toBe(number);
  });

  test.each([
    ['9', 9],
    ['0', 0],
    ['1000', 1000],
    ['RTMIN', 34],
    ['SIGRTMIN+3', 37],
    ['rtmax-1', 63],
  ])('reads %s as %i', (text, number) => {
    expect(parseSignal(text)).toBe(number);
  });

  test.each(['', 'FOO', 'SIG', 'RTMIN+31', 'RTMIN-1', 'TERM ', '1.5'])('does not know %j', (text) => {
    expect(parseSignal(text)).toBeUndefined();
  });
});
