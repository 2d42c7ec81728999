import { describe, expect, test } from 'vitest';
import { parseConfigText } from './config-text.ts';

const condition = (value: string, op = 'SCMP_CMP_EQ'): string =>
  `{ "index": 0, "value": ${value}, "valueTwo": ${value}, "op": "${op}" }`;

describe('parseConfigText', () => {
  test.each([
    ['18446744073709551615', 2n ** 64n - 1n],
    ['9007199254740993', 2n ** 53n + 1n],
    ['99999999999999999999', 99999999999999999999n],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['2114060288', 2114060288],
    ['0', 0],
    ['-18446744073709551615', -18446744073709552000],
    ['1e30', 1e30],
    ['1.5', 1.5],
  ])('reads %s in a condition as %s', (text, expected) => {
    expect(parseConfigText(condition(text))).toEqual({
      index: 0,
      value: expected,
      valueTwo: expected,
      op: 'SCMP_CMP_EQ',
    });
  });

  test('does so whichever property comes first', () => {
    expect(parseConfigText('{ "op": "SCMP_CMP_GE", "value": 18446744073709551615 }')).toMatchObject({
      value: 2n ** 64n - 1n,
    });
  });

  test('leaves all other numbers to JSON', () => {
    const text = `[{ "hard": 18446744073709551615 }, ${condition('18446744073709551615', 'other')}, { "value": 1e20 }]`;

    expect(parseConfigText(text)).toEqual(JSON.parse(text));
  });

  test('refuses what is no JSON', () => {
    expect(() => parseConfigText('{')).toThrow(SyntaxError);
  });
});
