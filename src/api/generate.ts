// Generates the API's codecs and service table (vmm.gen.ts) from vmm.proto: `node src/api/generate.ts`.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateCodecs } from '../../scripts/lib/protoc.ts';

const directory = import.meta.dirname;
/** Relative to this folder. */
export const GENERATED_FILE = 'vmm.gen.ts';

// grpc-js' tables; 64-bit integers as numbers, which throw beyond 2^53; no `enum` of TypeScript.
const OPTIONS = [
  'forceLong=number',
  'outputServices=grpc-js',
  'enumsAsLiterals=true',
  'unrecognizedEnum=false',
  'removeEnumPrefix=true',
];

/** @returns the text of vmm.gen.ts */
export function generate(): Promise<string> {
  return generateCodecs(directory, 'vmm', OPTIONS);
}

if (import.meta.main) writeFileSync(join(directory, GENERATED_FILE), await generate());
