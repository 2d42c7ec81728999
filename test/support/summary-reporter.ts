// Reporter that closes a run with one line of numbers, for programs: `N passed, N failed, N skipped`.
import type { SerializedError } from 'vitest';
import type { Reporter, TestModule, Vitest } from 'vitest/node';

/** Numbers of a run. */
export interface Summary {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * Counts each test once. A file that failed without a failed test in it (it could not be loaded, a hook failed) and an
 * error outside of all files count as a failure each, so that a run that failed never shows `0 failed`.
 */
export function summarize(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): Summary {
  const states = modules.map((module) => [...module.children.allTests()].map((test) => test.result().state));
  const count = (state: string): number => states.flat().filter((each) => each === state).length;
  const told = (index: number): boolean => /failed|pending/.test(states[index]?.join() ?? '');
  const failedFiles = modules.filter((module, index) => module.state() === 'failed' && !told(index));
  return {
    passed: count('passed'),
    failed: count('failed') + count('pending') + failedFiles.length + unhandledErrors.length,
    skipped: count('skipped'),
  };
}

export default class SummaryReporter implements Reporter {
  #vitest: Vitest | undefined;

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    const { passed, failed, skipped } = summarize(modules, unhandledErrors);
    // Behind what the other reporters write in this turn.
    setImmediate(() => this.#vitest?.logger.log(`${passed} passed, ${failed} failed, ${skipped} skipped`));
  }
}
