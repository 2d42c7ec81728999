// Generates the message codecs (*.gen.ts) from the .proto files beside this one: `node src/protocol/generate.ts`.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { projectDirectory } from '../../scripts/lib/paths.ts';
import { run } from '../../scripts/lib/run.ts';

const directory = dirname(fileURLToPath(import.meta.url));

/** Names of the .proto files, without their ending. */
export const protocols: readonly string[] = ['agent', 'sandbox', 'ttrpc'];

// Messages only, as plain objects; 64-bit integers as bigint; nothing that needs Node.
const OPTIONS = [
  'env=neither',
  'esModuleInterop=true',
  'forceLong=bigint',
  'importSuffix=.ts',
  'outputServices=none',
  'outputJsonMethods=false',
  'outputPartialMethods=false',
  'outputTypeAnnotations=false',
  'annotateFilesWithVersion=false',
  'oneof=unions-value',
];

/** Generates the codecs of one .proto file. @returns the text of its .gen.ts file */
export async function generate(protocol: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'tskata-protocol-'));
  try {
    const plugin = join(projectDirectory, 'node_modules/.bin/protoc-gen-ts_proto');
    await run(
      'protoc',
      [
        `--plugin=protoc-gen-ts_proto=${plugin}`,
        `--ts_proto_out=${folder}`,
        `--ts_proto_opt=${OPTIONS.join(',')}`,
        `--proto_path=${directory}`,
        `${protocol}.proto`,
      ],
      { env: { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}` } },
    );
    return readFileSync(join(folder, `${protocol}.ts`), 'utf8');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  for (const protocol of protocols) writeFileSync(join(directory, `${protocol}.gen.ts`), await generate(protocol));
}
