// Generates the API's codecs and service table (vmm.gen.ts) from vmm.proto: `node src/api/generate.ts`.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { projectDirectory } from '../../scripts/lib/paths.ts';
import { run } from '../../scripts/lib/run.ts';

const directory = import.meta.dirname;
/** Relative to this folder. */
export const GENERATED_FILE = 'vmm.gen.ts';

// Plain objects and grpc-js' tables; 64-bit integers as numbers, which throw beyond 2^53; no `enum` of TypeScript.
const OPTIONS = [
  'env=neither',
  'esModuleInterop=true',
  'forceLong=number',
  'importSuffix=.ts',
  'outputServices=grpc-js',
  'outputJsonMethods=false',
  'outputPartialMethods=false',
  'outputTypeAnnotations=false',
  'annotateFilesWithVersion=false',
  'oneof=unions-value',
  'enumsAsLiterals=true',
  'unrecognizedEnum=false',
  'removeEnumPrefix=true',
];

/** @returns the text of vmm.gen.ts */
export async function generate(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'tskata-api-'));
  try {
    const plugin = join(projectDirectory, 'node_modules/.bin/protoc-gen-ts_proto');
    await run(
      'protoc',
      [
        `--plugin=protoc-gen-ts_proto=${plugin}`,
        `--ts_proto_out=${folder}`,
        `--ts_proto_opt=${OPTIONS.join(',')}`,
        `--proto_path=${directory}`,
        'vmm.proto',
      ],
      { env: { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}` } },
    );
    return readFileSync(join(folder, 'vmm.ts'), 'utf8');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) writeFileSync(join(directory, GENERATED_FILE), await generate());
