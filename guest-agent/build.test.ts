// The agent's JavaScript uses nothing that its engine lacks (native/main.c), nor what fills its memory.
import { expect, test } from 'vitest';
import { bundleProgram } from './build.ts';

const script = await bundleProgram('src/main.ts');

test.each([
  ['dates', /\bDate\b[.(]/],
  ['proxies', /\bnew Proxy\(/],
  ['weak references', /\bnew (WeakRef|FinalizationRegistry)\(/],
  ['normal forms of Unicode', /\.normalize\(/],
  ['text as code', /\b(eval|Function)\(/],
  ['modules that are loaded later', /\bimport\(/],
])('the agent uses no %s', (_name, pattern) => {
  expect(script).not.toMatch(pattern);
});

test('no module of the agent is used as a value, which makes a function of each of its exports', () => {
  expect(script).not.toMatch(/\b__export\(/);
});
