// Reporter of the test run inside the emulated host: a line for each test as it ends, and events for the run outside.
import { appendFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { SerializedError, UserConsoleLog } from 'vitest';
import type { Reporter, TestCase, TestModule, TestSuite, Vitest } from 'vitest/node';
import { eventLine, type GuestError, type GuestEvent, type GuestNode } from './guest-events.ts';

/** Names the file that events go to. */
export const EVENTS_VARIABLE = 'TSKATA_GUEST_EVENTS';

const MARKS = { passed: '✓', failed: '✗', skipped: '↓', pending: '?' } as const;

export default class GuestReporter implements Reporter {
  readonly #path: string;
  #root = '';

  constructor() {
    const path = process.env[EVENTS_VARIABLE];
    if (path === undefined) throw new Error(`${EVENTS_VARIABLE} is not set: it names the file for the test events`);
    this.#path = path;
  }

  onInit(vitest: Vitest): void {
    this.#root = vitest.config.root;
  }

  onTestModuleCollected(module: TestModule): void {
    this.#tell({ event: 'collected', file: module.moduleId, children: nodesOf(module) });
  }

  onTestCaseResult(test: TestCase): void {
    const { state, errors } = test.result();
    const { duration: durationMs = 0, retryCount = 0 } = test.diagnostic() ?? {};
    const result = test.result();
    const note = result.state === 'skipped' ? result.note : undefined;
    if (state === 'pending') return; // never reported outside, hence failed there
    this.#tell({ event: 'test', id: test.id, state, durationMs, note, errors: guestErrors(errors) });
    const file = relative(this.#root, test.module.moduleId);
    const reason = note === undefined ? '' : ` [${note}]`;
    const again = retryCount === 0 ? '' : ` [try ${retryCount + 1}; the one before: ${errors?.[0]?.message}]`;
    process.stdout.write(`${MARKS[state]} ${file} > ${test.fullName}${reason}${again} ${Math.round(durationMs)} ms\n`);
  }

  onTestSuiteResult(suite: TestSuite): void {
    const errors = guestErrors(suite.errors());
    if (errors.length > 0) this.#tell({ event: 'suite', id: suite.id, errors });
  }

  onTestModuleEnd(module: TestModule): void {
    this.#tell({ event: 'file', file: module.moduleId, errors: guestErrors(module.errors()) });
  }

  onTestRunEnd(_modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    this.#tell({ event: 'end', errors: guestErrors(unhandledErrors) });
  }

  onUserConsoleLog(log: UserConsoleLog): void {
    process[log.type].write(log.content);
  }

  #tell(event: GuestEvent): void {
    appendFileSync(this.#path, eventLine(event));
  }
}

function nodesOf(parent: TestModule | TestSuite): GuestNode[] {
  return [...parent.children].map((child) =>
    child.type === 'test'
      ? { type: 'test', id: child.id, name: child.name }
      : { type: 'suite', id: child.id, name: child.name, children: nodesOf(child) },
  );
}

function guestErrors(errors: readonly SerializedError[] | undefined): GuestError[] {
  return (errors ?? []).map((error) => ({
    name: String(error.name ?? 'Error'),
    message: String(error.message),
    stack: String(error.stack ?? ''),
    diff: typeof error['diff'] === 'string' ? error['diff'] : undefined,
  }));
}
