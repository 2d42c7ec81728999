// What protoc and ts-proto make of .proto files.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createFileRegistry, type DescFile, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
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
  const plugin = join(projectDirectory, 'node_modules/.bin/protoc-gen-ts_proto');
  const text = await runProtoc(directory, protocol, `${protocol}.ts`, (folder) => [
    `--plugin=protoc-gen-ts_proto=${plugin}`,
    `--ts_proto_out=${folder}`,
    `--ts_proto_opt=${[...OPTIONS, ...options].join(',')}`,
  ]);
  return text.toString();
}

/** What `<directory>/<protocol>.proto` declares. */
export async function describeProtocol(directory: string, protocol: string): Promise<DescFile> {
  const set = await runProtoc(directory, protocol, 'set', (folder) => [`--descriptor_set_out=${join(folder, 'set')}`]);
  const file = createFileRegistry(fromBinary(FileDescriptorSetSchema, set)).getFile(`${protocol}.proto`);
  if (file === undefined) throw new Error(`protoc described no ${protocol}.proto`);
  return file;
}

/** Runs protoc with options that write `output` into a folder. @returns what it wrote */
async function runProtoc(
  directory: string,
  protocol: string,
  output: string,
  options: (folder: string) => readonly string[],
): Promise<Buffer> {
  const folder = mkdtempSync(join(tmpdir(), 'tskata-protoc-'));
  try {
    await run('protoc', [...options(folder), `--proto_path=${directory}`, `${protocol}.proto`], {
      env: { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}` },
    });
    return readFileSync(join(folder, output));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
