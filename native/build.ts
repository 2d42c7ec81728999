// Builds libtskata.so, the little C that the host needs.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cached, publish } from '../scripts/lib/cache.ts';
import { buildDirectory } from '../scripts/lib/paths.ts';
import { startStep } from '../scripts/lib/progress.ts';
import { run } from '../scripts/lib/run.ts';

const SOURCES = join(import.meta.dirname, 'host');

const FLAGS = [
  '-std=gnu11',
  '-O2',
  '-g1',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-fPIC',
  '-shared',
  '-pthread',
  '-fvisibility=hidden',
  '-fstack-protector-strong',
  '-fstack-clash-protection',
  '-fcf-protection=full',
  '-D_FORTIFY_SOURCE=2',
  '-Wl,-z,relro,-z,now,-z,noexecstack,--no-undefined',
];

/** Builds the library with this machine's gcc, once per source and compiler. @returns the path build/lib/libtskata.so */
export async function buildNative(): Promise<string> {
  const compiler = await run('gcc', ['--version']);
  const built = await cached('libtskata', { files: [SOURCES], values: [compiler, ...FLAGS] }, async (output) => {
    using _step = startStep('building libtskata.so');
    const files = readdirSync(SOURCES).filter((name) => name.endsWith('.c'));
    await run('gcc', [...FLAGS, ...files.map((name) => join(SOURCES, name)), '-o', join(output, 'libtskata.so')]);
  });
  return publish(join(built, 'libtskata.so'), join(buildDirectory, 'lib/libtskata.so'));
}

if (import.meta.main) console.log(await buildNative());
