// The cases against tskata with the guest's agent in namespaces of this machine: all of the runtime but the VMM.
import { beforeAll, expect, type RunnerTask, test } from 'vitest';
import { expectTableInPage } from '../support/page-table.ts';
import { describeTskataCallers } from './caller-cases.ts';
import { describeTskataCrowd } from './crowd-cases.ts';
import { caseName, describeCases } from './describe-cases.ts';
import { DIFFERENCES, isNamed, runtimeDifferencesTable } from './differences.ts';
import { describeTskataEvents } from './events-cases.ts';
import { describeFaults } from './fault-cases.ts';
import { buildHelpers } from './helpers.ts';
import { ON_AGENT } from './on-agent.ts';
import { describeTskataPs } from './ps-cases.ts';
import { SUITES } from './suites.ts';
import { describeTskata } from './tskata-cases.ts';
import { describeTskataUpdate } from './update-cases.ts';
import { describeTskataVerbs } from './verbs-cases.ts';

beforeAll(buildHelpers);
describeCases(ON_AGENT, SUITES);

test('what runtimes are known to do otherwise are cases that there are', ({ task }) => {
  const names = testsOf(task.file.tasks).map((task) => caseName(ON_AGENT, task));

  const keys = Object.values(DIFFERENCES).flatMap((table) => Object.keys(table));

  expect(names.length).toBeGreaterThan(100);
  expect(keys.filter((key) => !names.some((name) => isNamed(key, name)))).toEqual([]);
});

test('docs/conformance.md has what runtimes do otherwise', async () => {
  await expectTableInPage('docs/conformance.md', 'differences of runtimes', runtimeDifferencesTable());
});

for (const describeParticular of [
  describeTskata,
  describeTskataCallers,
  describeTskataCrowd,
  describeTskataUpdate,
  describeTskataPs,
  describeTskataEvents,
  describeTskataVerbs,
  describeFaults,
]) {
  describeParticular(ON_AGENT);
}

function testsOf(tasks: readonly RunnerTask[]): RunnerTask[] {
  return tasks.flatMap((task) => (task.type === 'suite' ? testsOf(task.tasks) : [task]));
}
