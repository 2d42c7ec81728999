import { expect, test } from 'vitest';
import type { TestModule } from 'vitest/node';
import { summarize } from './summary-reporter.ts';

function module(state: string, ...tests: string[]): TestModule {
  const cases = tests.map((each) => ({ result: () => ({ state: each }) }));
  return { state: () => state, children: { allTests: () => cases.values() } } as unknown as TestModule;
}

test('counts each test once', () => {
  const modules = [module('passed', 'passed', 'skipped'), module('failed', 'failed', 'passed')];
  expect(summarize(modules, [])).toEqual({ passed: 2, failed: 1, skipped: 1 });
});

test('counts a file that failed without a failed test, and an error outside of files, as failures', () => {
  expect(summarize([module('failed'), module('failed', 'passed')], [{ message: 'x' }])).toMatchObject({ failed: 3 });
});

test('counts a test without a result as a failure', () => {
  expect(summarize([module('failed', 'pending')], [])).toEqual({ passed: 0, failed: 1, skipped: 0 });
});
