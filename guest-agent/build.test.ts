// The JavaScript of the programs on the agent's engine uses nothing that this lacks (native/main.c), nor what fills its memory.
import { describe, expect, test } from 'vitest';
import { bundleProgram } from './build.ts';

const programs = await Promise.all(
  ['guest-agent', 'shim'].map(async (name) => ({ name, script: await bundleProgram(`${name}/src/main.ts`) })),
);

describe.each(programs)('$name', ({ script }) => {
  test.each([
    ['dates', /\bDate\b[.(]/],
    ['proxies', /\bnew Proxy\(/],
    ['weak references', /\bnew (WeakRef|FinalizationRegistry)\(/],
    ['normal forms of Unicode', /\.normalize\(/],
    ['text as code', /\b(eval|Function)\(/],
    ['modules that are loaded later', /\bimport\(/],
  ])('uses no %s', (_name, pattern) => {
    expect(script).not.toMatch(pattern);
  });

  test('uses no module as a value, which makes a function of each of its exports', () => {
    expect(script).not.toMatch(/\b__export\(/);
  });
});
