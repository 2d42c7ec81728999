// Generates the messages (*.gen.ts) from the .proto files beside this one: `node src/protocol/generate.ts`. Types are
// ts-proto's; the tables that codec.ts reads are made from what protoc tells of the file.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DescField, type DescFile, type DescMessage, ScalarType as Scalar } from '@bufbuild/protobuf';
import { FeatureSet_FieldPresence } from '@bufbuild/protobuf/wkt';
import { describeProtocol, generateCodecs } from '../../scripts/lib/protoc.ts';
import { fieldLine, type Presence, type ScalarType } from './codec.ts';

const directory = import.meta.dirname;

/** Names of the .proto files, without their ending. */
export const protocols: readonly string[] = ['agent', 'containerd', 'sandbox', 'ttrpc'];

// Types only; 64-bit integers as bigint.
const OPTIONS = ['forceLong=bigint', 'outputServices=none', 'outputEncodeMethods=false'];

const SCALARS: { readonly [S in Scalar]?: ScalarType } = {
  [Scalar.BOOL]: 'bool',
  [Scalar.INT32]: 'int32',
  [Scalar.UINT32]: 'uint32',
  [Scalar.INT64]: 'int64',
  [Scalar.UINT64]: 'uint64',
  [Scalar.DOUBLE]: 'double',
  [Scalar.STRING]: 'string',
  [Scalar.BYTES]: 'bytes',
};

/** Generates the messages of one .proto file. @returns the text of its .gen.ts file */
export async function generate(protocol: string): Promise<string> {
  const [types, description] = await Promise.all([
    generateCodecs(directory, protocol, OPTIONS),
    describeProtocol(directory, protocol),
  ]);
  const codecs = [...nestedMessages(description)].map((message) => {
    const name = typeName(message);
    return `export const ${name} = messages.add<${name}>('${name}', \`${message.fields.map(tableLine).join('')}\`);\n`;
  });
  const head = types.replace(
    '/* eslint-disable */\n',
    '/* eslint-disable */\nimport { MessageTypes } from "./codec.ts";\n',
  );
  return `${head}\nconst messages = new MessageTypes();\n${codecs.join('')}`;
}

/** The messages of a file, each before those that are declared in it. */
export function* nestedMessages(outer: DescFile | DescMessage): Generator<DescMessage> {
  for (const message of outer.kind === 'file' ? outer.messages : outer.nestedMessages) {
    yield message;
    yield* nestedMessages(message);
  }
}

/** As ts-proto calls it: the name of a nested message begins with that of the outer one. */
export function typeName(message: DescMessage): string {
  return message.typeName.slice(message.file.proto.package.length + 1).replaceAll('.', '_');
}

function tableLine(field: DescField): string {
  const type = field.message === undefined ? scalarName(field) : typeName(field.message);
  return `\n  ${fieldLine(field.number, type, presenceOf(field), field.oneof?.localName, field.localName)}`;
}

function scalarName(field: DescField): ScalarType {
  const name = field.scalar === undefined ? undefined : SCALARS[field.scalar];
  const isText = field.fieldKind !== 'map' || field.mapKey === Scalar.STRING;
  if (name === undefined || !isText) throw new Error(`${field}: codec.ts reads no fields of this type yet`);
  return name;
}

function presenceOf({ fieldKind, oneof, presence }: DescField): Presence {
  if (fieldKind === 'list') return '*';
  if (fieldKind === 'map') return '%';
  return fieldKind === 'scalar' && oneof === undefined && presence === FeatureSet_FieldPresence.EXPLICIT ? '?' : '';
}

if (import.meta.main) {
  for (const protocol of protocols) writeFileSync(join(directory, `${protocol}.gen.ts`), await generate(protocol));
}
