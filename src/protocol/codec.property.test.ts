// The codec and the tables say the same as the reference implementation of Protocol Buffers that reads the .proto files.
import { spawnSync } from 'node:child_process';
import { create, type DescField, type DescMessage, ScalarType, toBinary } from '@bufbuild/protobuf';
import { FeatureSet_FieldPresence } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { describeProtocol } from '../../scripts/lib/protoc.ts';
import * as agent from './agent.gen.ts';
import type { MessageCodec } from './codec.ts';
import { nestedMessages, typeName } from './generate.ts';
import * as sandbox from './sandbox.gen.ts';
import * as ttrpc from './ttrpc.gen.ts';

type Plain = Record<string, unknown>;
type OneofCase = { readonly $case: string; readonly value: unknown };

/** `npm test` installs it; without it the other tests are still worth running. */
const hasCompiler = spawnSync('protoc', ['--version']).status === 0;

const modules = { agent, sandbox, ttrpc };
const cases = hasCompiler
  ? await Promise.all(
      Object.entries(modules).map(async ([protocol, codecs]) =>
        [...nestedMessages(await describeProtocol(import.meta.dirname, protocol))].map(
          (message) =>
            [message.typeName, message, (codecs as Plain)[typeName(message)] as MessageCodec<Plain>] as const,
        ),
      ),
    )
  : [];

/** Of each kind of message: there are fifty. */
const RUNS = 40;

const int32 = { min: -(2 ** 31), max: 2 ** 31 - 1 };
const SCALARS: { readonly [S in ScalarType]?: () => fc.Arbitrary<unknown> } = {
  [ScalarType.BOOL]: () => fc.boolean(),
  [ScalarType.INT32]: () => fc.integer(int32),
  [ScalarType.UINT32]: () => fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  [ScalarType.INT64]: () => fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  [ScalarType.UINT64]: () => fc.bigInt(0n, 2n ** 64n - 1n),
  [ScalarType.DOUBLE]: () => fc.double({ noNaN: true }).filter((value) => !Object.is(value, -0)),
  [ScalarType.STRING]: () => fc.string({ unit: 'grapheme', maxLength: 200 }),
  [ScalarType.BYTES]: () => fc.uint8Array({ maxLength: 200 }),
};

function anyValue(field: DescField): fc.Arbitrary<unknown> {
  if (field.message !== undefined) return anyMessage(field.message);
  const scalar = field.scalar === undefined ? undefined : SCALARS[field.scalar];
  if (scalar === undefined) throw new Error(`${field} has no values here`);
  return scalar();
}

function anyField(field: DescField): fc.Arbitrary<unknown> {
  if (field.fieldKind === 'list') return fc.array(anyValue(field), { maxLength: 5 });
  if (field.fieldKind === 'map')
    return fc.dictionary(fc.stringMatching(/^[a-z]{1,9}$/), anyValue(field), { maxKeys: 5 });
  // proto3 has presence for messages and `optional`: those may be missing.
  const isRequired = field.fieldKind === 'scalar' && field.presence === FeatureSet_FieldPresence.IMPLICIT;
  return isRequired ? anyValue(field) : fc.option(anyValue(field), { nil: undefined });
}

/** Any message of a kind, as the codec has it. */
function anyMessage(message: DescMessage): fc.Arbitrary<Plain> {
  const properties = message.members.map((member): [string, fc.Arbitrary<unknown>] => {
    if (member.kind === 'field') return [member.localName, anyField(member)];
    const chosen = member.fields.map((field) => anyValue(field).map((value) => ({ $case: field.localName, value })));
    return [member.localName, fc.option(fc.oneof(...chosen), { nil: undefined })];
  });
  return fc.record(Object.fromEntries(properties));
}

/** The same message as the reference has it: it names the case of a union otherwise. */
function reference(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reference);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if ('$case' in value) return { case: (value as OneofCase).$case, value: reference((value as OneofCase).value) };
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, reference(item)]));
}

describe.skipIf(!hasCompiler).each(cases.flat())('%s (needs protoc)', (_name, message, codec) => {
  test('is written as the reference writes it', () => {
    fc.assert(
      fc.property(anyMessage(message), (plain) => {
        const expected = toBinary(message, create(message, reference(plain) as Plain));
        expect(codec.encode(plain)).toEqual(expected);
      }),
      { numRuns: RUNS },
    );
  });

  test('is read as it was written', () => {
    fc.assert(
      fc.property(anyMessage(message), (plain) => {
        expect(codec.decode(codec.encode(plain))).toEqual(plain);
      }),
      { numRuns: RUNS },
    );
  });
});
