import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeState, encodeState } from './state-json.ts';

const leaf = fc.oneof(
  fc.string(),
  fc.integer(),
  fc.boolean(),
  fc.bigInt(-(2n ** 63n), 2n ** 64n - 1n),
  fc.constant(null),
  fc.uint8Array(),
) as fc.Arbitrary<unknown>;
const state = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    leaf,
    fc.array(tie('value')),
    fc.dictionary(fc.stringMatching(/^[a-z]+$/), tie('value'), { noNullPrototype: true }),
  ),
})).value;

test('a state comes back as it was', () => {
  fc.assert(
    fc.property(state, (value) => {
      expect(decodeState(JSON.parse(JSON.stringify(encodeState(value))))).toEqual(value);
    }),
  );
});

test('what has no value is left out', () => {
  expect(encodeState({ a: undefined, b: 1 })).toEqual({ b: 1 });
});

test('what is no state is refused', () => {
  expect(() => encodeState({ f: () => 1 })).toThrow('a function is no state');
});
