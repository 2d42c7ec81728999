// Global set-up of the guest tests: where this machine's KVM cannot run Linux, has them run once inside emulated hosts.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { TestProject } from 'vitest/node';
import { chooseHost, describeHost, runOnHost } from '../../scripts/lib/host.ts';
import { buildDirectory } from '../../scripts/lib/paths.ts';
import { GuestResults } from './guest-events.ts';
import { AWAITED_FILE, DONE_FILE, EVENTS_SUFFIX, guestRun, untilThere } from './guest-run.ts';
import { shareOut, TESTS_OUTSIDE_SECONDS } from './share-out.ts';

/** The run inside is given up when it says nothing for so long. */
const SILENCE_TIMEOUT_MS = 600_000;

/** A host has one emulated processor and keeps one of this machine's busy. */
const HOSTS_MAX = Math.min(availableParallelism(), 2);

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const host = await chooseHost();
  if (host.kind === 'native') {
    project.provide('guestRun', null);
    return async () => {};
  }
  const parent = join(buildDirectory, 'guest-tests');
  mkdirSync(parent, { recursive: true });
  const run = new GuestRun(project, mkdtempSync(join(parent, 'run-')));
  project.provide('guestRun', run.folder);
  project.vitest.logger.log(`tests with guests, ${describeHost(host)}`);
  const paths = project.vitest.state.getPaths();
  const files = paths.filter((path) => project.matchesTestGlob(path));
  void run.start(files, files.length < paths.length);
  project.onTestsRerun(async (specifications) => {
    const again = specifications.filter((spec) => spec.project === project).map((spec) => spec.moduleId);
    if (again.length > 0) await run.start(again, false);
  });
  return () => run.end();
}

/**
 * Runs guest tests in hosts beside the tests of other projects, which keep one processor busy: until those are done, with one host
 * less. Their runner waits for it (guest-runner.ts).
 */
class GuestRun {
  readonly folder: string;
  readonly #project: TestProject;
  readonly #abort = new AbortController();
  #done: Promise<unknown> = Promise.resolve();

  constructor(project: TestProject, folder: string) {
    this.#project = project;
    this.folder = folder;
  }

  /** @param hasOthers whether there are tests of other projects. Settles when these files have been run */
  async start(files: readonly string[], hasOthers: boolean): Promise<void> {
    for (const name of readdirSync(this.folder)) rmSync(join(this.folder, name));
    const parts = shareOut(files, HOSTS_MAX, hasOthers ? TESTS_OUTSIDE_SECONDS : 0);
    this.#done = Promise.all(
      parts.map(async (part, index) => {
        const { signal } = this.#abort;
        // The runner has nothing to do any more but wait.
        if (hasOthers && index > 0) await untilThere(join(this.folder, AWAITED_FILE), signal);
        await runInside(this.#project, join(this.folder, `${index}${EVENTS_SUFFIX}`), part, signal);
      }),
    );
    try {
      await this.#done;
    } finally {
      if (!this.#abort.signal.aborted) writeFileSync(join(this.folder, DONE_FILE), '');
    }
  }

  async end(): Promise<void> {
    this.#abort.abort();
    await this.#done;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Runs test files in one host. */
async function runInside(
  project: TestProject,
  events: string,
  files: readonly string[],
  ended: AbortSignal,
): Promise<void> {
  if (ended.aborted) return;
  const { vitest } = project;
  const pattern = vitest.getGlobalTestNamePattern();
  const silence = new AbortController();
  writeFileSync(events, '');
  let timer: NodeJS.Timeout | undefined;
  const listen = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_TIMEOUT_MS);
  };
  const output = (): Writable =>
    lineWriter((line) => {
      listen();
      vitest.logger.log(line);
    });
  listen();
  try {
    const status = await runOnHost({
      ...guestRun(files, events, pattern?.source),
      stdout: output(),
      stderr: output(),
      signal: AbortSignal.any([silence.signal, ended]),
    });
    if (ended.aborted) return;
    const errors = new GuestResults(readFileSync(events, 'utf8')).unhandledErrors;
    if (errors === undefined)
      vitest.logger.error(`the run inside the emulated host ended early, with status ${status}`);
    for (const error of errors ?? []) vitest.state.catchError(error, 'Unhandled Error inside the emulated host');
  } catch (error) {
    if (ended.aborted) return;
    vitest.state.catchError(error, 'Error of the emulated host');
  } finally {
    clearTimeout(timer);
  }
}

/** A stream that hands out whole lines. */
function lineWriter(onLine: (line: string) => void): Writable {
  let rest = '';
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
      done();
    },
  });
}
