// Makes tests of the cases for one runtime, but for those in which it is known to differ.
import { beforeEach, describe, type RunnerTask } from 'vitest';
import { BETWEEN, differenceOf } from './differences.ts';
import type { Runtime } from './harness.ts';

/** @param suites each makes tests */
export function describeCases(runtime: Runtime, suites: readonly ((runtime: Runtime) => void)[]): void {
  describe(runtime.name, () => {
    beforeEach(({ task, skip }) => {
      const reason = differenceOf(runtime.name, caseName(runtime, task));
      skip(reason !== undefined, reason);
    });
    for (const suite of suites) suite(runtime);
  });
}

/** The names of a test and of the groups around it, up to that of its runtime. */
export function caseName({ name }: Runtime, task: RunnerTask): string {
  const names: string[] = [];
  for (let at: RunnerTask | undefined = task; at !== undefined && at.name !== name; at = at.suite)
    names.unshift(at.name);
  return names.join(BETWEEN);
}
