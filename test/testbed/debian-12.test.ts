// The container engines of Debian 12, on an emulated host of it: as many of their guest tests as show that each engine works.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { collector } from '../../scripts/lib/collector.ts';
import { runOnHost } from '../../scripts/lib/host.ts';
import { buildDirectory, projectDirectory } from '../../scripts/lib/paths.ts';
import { type GuestNode, GuestResults } from '../support/guest-events.ts';
import { guestRun } from '../support/guest-run.ts';

const RUN_TIMEOUT_MS = 900_000;

/** Names of tests by their file. */
const TESTS = {
  containerd: [
    'has the address, the names and the files that it was given',
    'has containers that share localhost, and one machine where they have one',
    'tells what a command prints, and how it ends',
    'has statistics',
    'stops a container with grace, and goes with all that it had',
    'run passes output and status on, and leaves nothing',
    'a task is entered, paused, measured and ended',
  ],
  docker: [
    'passes output and statuses on, and leaves nothing',
    'a container is looked at, stopped for a while, copied from and to, and ended',
  ],
  podman: [
    'run passes output and status on, in a network of its own',
    "a network of CNI plugins, which podman has up to version 4, is the container's",
    'a container is entered, copied to, looked at, and stopped',
    'has one virtual machine, and one network',
  ],
} as const;

const engines = Object.keys(TESTS) as (keyof typeof TESTS)[];
const fileOf = (engine: string): string => join(projectDirectory, `test/guest/${engine}.test.ts`);

let folder: string;
let results: GuestResults;
let output = '';

beforeAll(async () => {
  folder = mkdtempSync(join(buildDirectory, 'debian-12-'));
  const events = join(folder, 'events.jsonl');
  const [stdout, stderr] = [collector(), collector()];
  const pattern = `(${Object.values(TESTS).flat().join('|')})$`;
  await runOnHost({
    ...guestRun(engines.map(fileOf), events, pattern),
    release: 'bookworm',
    stdout: stdout.stream,
    stderr: stderr.stream,
    timeoutMs: RUN_TIMEOUT_MS,
  });

  output = `${stdout.bytes()}${stderr.bytes()}`;
  results = new GuestResults(readFileSync(events, 'utf8'));
}, RUN_TIMEOUT_MS + 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const leaves = (nodes: readonly GuestNode[]): (GuestNode & { type: 'test' })[] =>
  nodes.flatMap((node) => (node.type === 'test' ? [node] : leaves(node.children)));

test.each(engines)('%s of Debian 12 runs containers with tskata', (engine) => {
  const tests = leaves(results.nodes(fileOf(engine)) ?? []);
  const namesOf = (state: 'passed' | 'failed'): Set<string> =>
    new Set(tests.filter(({ id }) => results.result(id)?.state === state).map(({ name }) => name));

  expect(namesOf('passed'), output).toEqual(new Set(TESTS[engine]));
  expect(namesOf('failed'), output).toEqual(new Set());
  expect(results.fileErrors(fileOf(engine)), output).toEqual([]);
});
