// Global set-up of the guest tests: where this machine's KVM cannot run Linux, runs them once inside emulated hosts.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { TestProject } from 'vitest/node';
import { chooseHost, describeHost, runOnHost } from '../../scripts/lib/host.ts';
import { buildDirectory } from '../../scripts/lib/paths.ts';
import { GuestResults } from './guest-events.ts';
import { guestRun } from './guest-run.ts';
import { shareOut } from './share-out.ts';

/** The run inside is given up when it says nothing for so long. */
const SILENCE_TIMEOUT_MS = 600_000;

/** A host has one emulated processor and keeps one of this machine's busy. */
const HOSTS_MAX = Math.min(availableParallelism(), 2);

export default async function setUp(project: TestProject): Promise<() => void> {
  const host = await chooseHost();
  if (host.kind === 'native') {
    project.provide('guestEvents', null);
    return () => {};
  }
  const parent = join(buildDirectory, 'guest-tests');
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, 'run-'));
  const events = Array.from({ length: HOSTS_MAX }, (_, index) => join(folder, `events.${index}.jsonl`));
  project.provide('guestEvents', events);
  project.vitest.logger.log(`tests with guests, ${describeHost(host)}`);
  const files = project.vitest.state.getPaths().filter((path) => project.matchesTestGlob(path));
  await runInHosts(project, events, files);
  project.onTestsRerun(async (specifications) => {
    const again = specifications.filter((spec) => spec.project === project).map((spec) => spec.moduleId);
    if (again.length > 0) await runInHosts(project, events, again);
  });
  return () => rmSync(folder, { recursive: true, force: true });
}

/** Runs test files in as many hosts as there are files for events, which tell afterwards what became of them. */
async function runInHosts(project: TestProject, events: readonly string[], files: readonly string[]): Promise<void> {
  for (const path of events) writeFileSync(path, '');
  const parts = shareOut(files, events.length);
  await Promise.all(parts.map((part, index) => runInside(project, String(events[index]), part)));
}

/** Runs test files in one host. */
async function runInside(project: TestProject, events: string, files: readonly string[]): Promise<void> {
  const { vitest } = project;
  const pattern = vitest.getGlobalTestNamePattern();
  const abort = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const listen = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(), SILENCE_TIMEOUT_MS);
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
      signal: abort.signal,
    });
    const errors = new GuestResults(readFileSync(events, 'utf8')).unhandledErrors;
    if (errors === undefined)
      vitest.logger.error(`the run inside the emulated host ended early, with status ${status}`);
    for (const error of errors ?? []) vitest.state.catchError(error, 'Unhandled Error inside the emulated host');
  } catch (error) {
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
