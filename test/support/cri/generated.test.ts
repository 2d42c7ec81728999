// The generated codecs say what cri.proto says.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { GENERATED_FILE, generate } from './generate.ts';

const hasCompiler = spawnSync('protoc', ['--version']).status === 0;

test.skipIf(!hasCompiler)('cri.gen.ts is what cri.proto generates (needs protoc)', async () => {
  expect(await generate()).toBe(readFileSync(join(import.meta.dirname, GENERATED_FILE), 'utf8'));
});
