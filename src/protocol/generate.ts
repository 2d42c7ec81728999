// Generates the message codecs (*.gen.ts) from the .proto files beside this one: `node src/protocol/generate.ts`.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateCodecs } from '../../scripts/lib/protoc.ts';

const directory = import.meta.dirname;

/** Names of the .proto files, without their ending. */
export const protocols: readonly string[] = ['agent', 'sandbox', 'ttrpc'];

// Messages only; 64-bit integers as bigint.
const OPTIONS = ['forceLong=bigint', 'outputServices=none'];

/** Generates the codecs of one .proto file. @returns the text of its .gen.ts file */
export function generate(protocol: string): Promise<string> {
  return generateCodecs(directory, protocol, OPTIONS);
}

if (import.meta.main) {
  for (const protocol of protocols) writeFileSync(join(directory, `${protocol}.gen.ts`), await generate(protocol));
}
