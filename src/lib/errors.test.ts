import { describe, expect, test } from 'vitest';
import { messageOf, shownValue, TskataError } from './errors.ts';

class SampleError extends TskataError<'NO_SUCH_TAP'> {}

describe('TskataError', () => {
  test('has the name of its class, a code, the facts and the cause', () => {
    const cause = new Error('ENODEV');
    const error = new SampleError('NO_SUCH_TAP', 'cannot open tap0', { path: '/dev/net/tun' }, { cause });

    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'SampleError',
      code: 'NO_SUCH_TAP',
      message: 'cannot open tap0',
      details: { path: '/dev/net/tun' },
      cause,
    });
  });

  test('has no details unless given', () => {
    expect(new SampleError('NO_SUCH_TAP', 'cannot open tap0').details).toEqual({});
  });
});

test.each([
  [new Error('no'), 'no'],
  ['text', 'text'],
  [undefined, 'undefined'],
])('messageOf(%s) is "%s"', (thrown, expected) => {
  expect(messageOf(thrown)).toBe(expected);
});

test.each([
  [undefined, 'missing'],
  [null, 'null'],
  ['text', '"text"'],
  [{ big: 2n ** 40n }, '{"big":1099511627776}'],
  ['x'.repeat(100), `"${'x'.repeat(59)}`],
])('a message shows %o as %s', (value, shown) => {
  expect(shownValue(value)).toBe(shown);
});
