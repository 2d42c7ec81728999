// Generates the codecs and the service table (cri.gen.ts) from cri.proto: `node test/support/cri/generate.ts`.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateCodecs } from '../../../scripts/lib/protoc.ts';

const directory = import.meta.dirname;
/** Relative to this folder. */
export const GENERATED_FILE = 'cri.gen.ts';

// Moments are nanoseconds since 1970, which numbers cannot hold; requests are written with the fields that matter.
const OPTIONS = [
  'forceLong=bigint',
  'outputServices=grpc-js',
  'enumsAsLiterals=true',
  'unrecognizedEnum=false',
  'outputPartialMethods=true',
];

/** @returns the text of cri.gen.ts */
export function generate(): Promise<string> {
  return generateCodecs(directory, 'cri', OPTIONS);
}

if (import.meta.main) writeFileSync(join(directory, GENERATED_FILE), await generate());
