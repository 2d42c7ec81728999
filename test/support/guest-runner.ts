// Runner of the guest tests where they cannot run: instead of importing a test file it registers the tests that the run
// inside the emulated host has told of, and each of them ends as it ended there.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, type RunnerTask, TestRunner, test } from 'vitest';
import { type GuestError, type GuestNode, GuestResults } from './guest-events.ts';
import { AWAITED_FILE, DONE_FILE, EVENTS_SUFFIX, untilThere } from './guest-run.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Folder of the run inside emulated hosts; `null` when the tests run right here. */
    guestRun: string | null;
  }
}

export default class GuestRunner extends TestRunner {
  /** How long each test took inside, by id of the task here. */
  readonly #durations = new Map<string, number>();

  override async importFile(filepath: string, source: 'collect' | 'setup'): Promise<unknown> {
    const folder: string | null = this.injectValue('guestRun');
    if (folder === null || source === 'setup') return await super.importFile(filepath, source);
    writeFileSync(join(folder, AWAITED_FILE), '');
    await untilThere(join(folder, DONE_FILE));
    const events = readdirSync(folder).filter((name) => name.endsWith(EVENTS_SUFFIX));
    this.#register(filepath, new GuestResults(...events.map((name) => readFileSync(join(folder, name), 'utf8'))));
    return undefined;
  }

  override onAfterRunTask(task: RunnerTask): void {
    super.onAfterRunTask(task);
    const duration = this.#durations.get(task.id);
    if (task.result !== undefined && duration !== undefined) task.result.duration = duration;
  }

  #register(file: string, results: GuestResults): void {
    const nodes = results.nodes(file);
    const errors = results.fileErrors(file);
    if (nodes === undefined) throw new Error(`the run inside the emulated host ended before it came to ${file}`);
    if (nodes.length === 0) throwAll(errors ?? []);
    for (const node of nodes) this.#registerNode(node, results);
    if (errors === undefined) afterAll(() => throwAll([missing('the end of this file')]));
    else if (errors.length > 0) afterAll(() => throwAll(errors));
  }

  #registerNode(node: GuestNode, results: GuestResults): void {
    if (node.type === 'suite') {
      describe(node.name, () => {
        for (const child of node.children) this.#registerNode(child, results);
        const errors = results.suiteErrors(node.id);
        if (errors.length > 0) afterAll(() => throwAll(errors));
      });
      return;
    }
    const result = results.result(node.id);
    test(node.name, ({ task, skip }) => {
      this.#durations.set(task.id, result?.durationMs ?? 0);
      if (result?.state === 'passed') return;
      if (result?.state === 'skipped') skip(result.note);
      throwAll(result?.errors ?? []);
      throwAll([missing('the end of this test')]);
    });
  }
}

function missing(what: string): GuestError {
  const message = `the run inside the emulated host ended before ${what}; its last output is above`;
  return { name: 'Error', message, stack: `Error: ${message}` };
}

/** Throws these errors as one; does nothing when there are none. */
function throwAll(errors: readonly GuestError[]): void {
  if (errors.length === 0) return;
  const thrown = errors.map((error) => Object.assign(new Error(error.message), error));
  throw thrown.length === 1 ? thrown[0] : new AggregateError(thrown);
}
