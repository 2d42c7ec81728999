// Message codecs in TypeScript from .proto files, by protoc and ts-proto.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { projectDirectory } from './paths.ts';
import { run } from './run.ts';

/** Plain objects that need nothing of Node's; the same text whoever generates it. */
const OPTIONS = [
  'env=neither',
  'esModuleInterop=true',
  'importSuffix=.ts',
  'outputJsonMethods=false',
  'outputPartialMethods=false',
  'outputTypeAnnotations=false',
  'annotateFilesWithVersion=false',
  'oneof=unions-value',
];

/**
 * Generates the codecs of `<directory>/<protocol>.proto`. @param options of ts-proto, beside those that all have
 * @returns the text of the TypeScript file
 */
export async function generateCodecs(directory: string, protocol: string, options: readonly string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'tskata-protoc-'));
  try {
    const plugin = join(projectDirectory, 'node_modules/.bin/protoc-gen-ts_proto');
    await run(
      'protoc',
      [
        `--plugin=protoc-gen-ts_proto=${plugin}`,
        `--ts_proto_out=${folder}`,
        `--ts_proto_opt=${[...OPTIONS, ...options].join(',')}`,
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
