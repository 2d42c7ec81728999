// Builds tskata-proxy: one small static program.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cached, publish } from '../../scripts/lib/cache.ts';
import { buildDirectory } from '../../scripts/lib/paths.ts';
import { run } from '../../scripts/lib/run.ts';

const COMPILER = 'musl-gcc';
/** The kernel's headers, which musl leaves to others. */
const KERNEL_HEADERS = '-idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu';
const FLAGS =
  `-static -std=gnu17 -Os -Wall -Wextra -Wshadow -Wconversion -Werror -fstack-protector-strong -s ${KERNEL_HEADERS}`.split(
    ' ',
  );

/** Builds it into build/lib/tskata-proxy. @returns that path. @throws CommandError with the compiler's messages */
export async function buildProxy(): Promise<string> {
  const folder = import.meta.dirname;
  const sources = readdirSync(folder)
    .filter((name) => /\.[ch]$/.test(name))
    .map((name) => join(folder, name));
  const units = sources.filter((name) => name.endsWith('.c'));
  const version = await run(COMPILER, ['--version']);
  const address = await cached('proxy', { files: sources, values: [version, ...FLAGS] }, async (output) => {
    await run(COMPILER, [...FLAGS, '-o', join(output, 'tskata-proxy'), ...units]);
  });
  return publish(join(address, 'tskata-proxy'), join(buildDirectory, 'lib/tskata-proxy'));
}
