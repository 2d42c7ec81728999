import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { abiFile, generateAbi } from './generate-abi.ts';

/** Names and values only: a newer C library may word the texts of its errors in another way, and know more of them. */
const constants = (text: string): Map<string, string> =>
  new Map(
    [...text.matchAll(/^(?:export const|\s+)\s*(\w+)(?: =|:) (-?\d+)[;,]$/gm)].map(([, name = '', value = '']) => [
      name,
      value,
    ]),
  );

/** `npm test` installs it. */
const hasCompiler = spawnSync('gcc', ['--version']).status === 0;

test.skipIf(!hasCompiler)('the numbers of abi.gen.ts are those of the kernel headers (needs gcc)', async () => {
  const committed = constants(readFileSync(abiFile, 'utf8'));
  expect(committed.size).toBeGreaterThan(250);
  expect(constants(await generateAbi())).toEqual(committed);
});
