// Generates ../src/linux/abi.gen.ts from the kernel's headers: `node guest-agent/native/generate-abi.ts`.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../scripts/lib/run.ts';

const directory = dirname(fileURLToPath(import.meta.url));

/** The generated file. */
export const abiFile = join(directory, '../src/linux/abi.gen.ts');

/** Compiles and runs abi.c. @returns the text of the generated file */
export async function generateAbi(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'tskata-abi-'));
  try {
    const program = join(folder, 'abi');
    await run('gcc', ['-Wall', '-Wextra', '-Werror', '-o', program, join(directory, 'abi.c')]);
    return await run(program, []);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) writeFileSync(abiFile, await generateAbi());
