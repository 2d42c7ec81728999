// What the codec makes of bytes and messages that it did not write, or should not.
import { describe, expect, test } from 'vitest';
import { MessageTypes } from './codec.ts';

interface Inner {
  text: string;
}

interface Outer {
  inner: Inner | undefined;
  numbers: number[];
  choice: { $case: 'count'; value: number } | { $case: 'name'; value: string } | undefined;
  limit?: bigint | undefined;
  marks: Record<string, number>;
}

const types = new MessageTypes();
// The outer one is first: tables are read when they are needed.
const outer = types.add<Outer>(
  'Outer',
  '1 Inner inner 2 uint32* numbers 3 uint32 choice.count 4 string choice.name 5 uint64? limit 6 uint32% marks',
);
const inner = types.add<Inner>('Inner', '1 string text');
const EMPTY: Outer = { inner: undefined, numbers: [], choice: undefined, marks: {} };

describe('a message is read', () => {
  test('with the lists of numbers packed or not', () => {
    // Field 2 as a varint, then packed, then as a varint.
    const bytes = new Uint8Array([0x10, 1, 0x12, 2, 2, 3, 0x10, 4]);

    expect(outer.decode(bytes)).toEqual({ ...EMPTY, numbers: [1, 2, 3, 4] });
  });

  test('with the last one of the fields of which there is one', () => {
    const bytes = new Uint8Array([0x18, 5, 0x22, 1, 0x78]);

    expect(outer.decode(bytes)).toEqual({ ...EMPTY, choice: { $case: 'name', value: 'x' } });
  });

  test('without fields that are of another wire type than theirs', () => {
    // Field 1 as a varint, field 3 as 32 bits.
    const bytes = new Uint8Array([0x08, 1, 0x1d, 1, 2, 3, 4]);

    expect(outer.decode(bytes)).toEqual(EMPTY);
  });

  test.each([
    ['a field number 0', [0x02, 0]],
    ['a tag without its value', [0x18]],
    ['a length beyond the end', [0x0a, 2, 0x0a]],
    ['a message whose field is longer than itself', [0x0a, 2, 0x0a, 1, 0x78]],
    ['the end of a group that did not begin', [0x0c]],
  ])('not when it has %s', (_name, bytes) => {
    expect(() => outer.decode(new Uint8Array(bytes))).toThrow();
  });
});

describe('a message is written', () => {
  test('with a zero that an optional field has', () => {
    expect(outer.encode({ ...EMPTY, limit: 0n })).toEqual(new Uint8Array([0x28, 0]));
  });

  test('with an empty message, and with zero as the chosen one', () => {
    const message: Outer = { ...EMPTY, inner: { text: '' }, choice: { $case: 'count', value: 0 } };

    expect(outer.encode(message)).toEqual(new Uint8Array([0x0a, 0, 0x18, 0]));
  });

  test('with a zero that a map has', () => {
    expect(outer.encode({ ...EMPTY, marks: { a: 0 } })).toEqual(new Uint8Array([0x32, 5, 0x0a, 1, 0x61, 0x10, 0]));
  });

  test.each<[string, Outer]>([
    ['a number out of range', { ...EMPTY, numbers: [2 ** 32] }],
    ['a number of 64 bits out of range', { ...EMPTY, limit: -1n }],
    ['a list that is missing', { ...EMPTY, numbers: undefined as unknown as number[] }],
  ])('not when it has %s', (_name, message) => {
    expect(() => outer.encode(message)).toThrow();
  });

  test('not when its table names a type that there is not', () => {
    const table = types.add('Broken', '1 Nothing field');

    expect(() => table.encode({})).toThrow(/type Nothing/);
  });

  test('as the inner one alone', () => {
    expect(inner.decode(inner.encode({ text: 'π' }))).toEqual({ text: 'π' });
  });
});
