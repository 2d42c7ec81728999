// The cases against tskata with the guest's agent in namespaces of this machine: all of the runtime but the VMM.
import { join } from 'node:path';
import { beforeAll, expect, type RunnerTask, test } from 'vitest';
import { expectTableInPage } from '../support/page-table.ts';
import { describeTskataCallers } from './caller-cases.ts';
import { describeTskataCrowd } from './crowd-cases.ts';
import { caseName, describeCases } from './describe-cases.ts';
import { DIFFERENCES, isNamed, runtimeDifferencesTable } from './differences.ts';
import { describeTskataEvents } from './events-cases.ts';
import { describeFaults } from './fault-cases.ts';
import { buildHelpers } from './helpers.ts';
import { describeTskataPs } from './ps-cases.ts';
import { SUITES } from './suites.ts';
import { describeTskata } from './tskata-cases.ts';
import { describeTskataUpdate } from './update-cases.ts';
import { describeTskataVerbs } from './verbs-cases.ts';

const program = join(import.meta.dirname, 'tskata-on-agent.ts');
const runtime = { name: 'tskata', command: [process.execPath, program] };

beforeAll(buildHelpers);
describeCases(runtime, SUITES);

test('what runtimes are known to do otherwise are cases that there are', ({ task }) => {
  const names = testsOf(task.file.tasks).map((task) => caseName(runtime, task));

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
  describeParticular(runtime);
}

function testsOf(tasks: readonly RunnerTask[]): RunnerTask[] {
  return tasks.flatMap((task) => (task.type === 'suite' ? testsOf(task.tasks) : [task]));
}
