import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { projectDirectory } from '../../scripts/lib/paths.ts';
import { ABI_FILES, generateAbi } from './generate.ts';

const hasCompiler = spawnSync('gcc', ['--version']).status === 0;

test.skipIf(!hasCompiler).each(ABI_FILES)(
  '$target is what $program prints with the kernel headers of this machine',
  async (file) => {
    const committed = readFileSync(join(projectDirectory, file.target), 'utf8');

    const printed = await generateAbi(file.program);

    expect(printed).toBe(committed);
  },
);
