// The program that looks at itself in the containers of the suite: probe/main.c. Static, so that it is a root file system by itself.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cached, publish } from '../../scripts/lib/cache.ts';
import { buildDirectory } from '../../scripts/lib/paths.ts';
import { run } from '../../scripts/lib/run.ts';

const SOURCES = join(import.meta.dirname, 'probe');
const FLAGS = ['-static', '-O1', '-s', '-Wall', '-Wextra', '-Werror'];

/** Where `buildProbe` puts it. */
export const PROBE = join(buildDirectory, 'test/probe');

/** Builds it into build/test. */
export async function buildProbe(): Promise<void> {
  const address = await cached('conformance-probe', { files: [SOURCES], values: FLAGS }, async (output) => {
    const units = readdirSync(SOURCES).filter((name) => name.endsWith('.c'));
    await run('musl-gcc', [...FLAGS, '-o', join(output, 'probe'), ...units.map((name) => join(SOURCES, name))]);
  });
  publish(join(address, 'probe'), PROBE);
}
