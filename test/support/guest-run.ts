// The command that runs guest tests inside an emulated host and tells of them: see guest-events.ts.
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { HostCommand } from '../../scripts/lib/host.ts';
import { buildDirectory, pinnedNode, projectDirectory } from '../../scripts/lib/paths.ts';
import { EVENTS_VARIABLE } from './guest-reporter.ts';

/** Files in the folder of a run, by which it and the runner of guest tests know of each other: what the hosts tell, */
export const EVENTS_SUFFIX = '.events.jsonl';
/** that all of it is told, */
export const DONE_FILE = 'done';
/** and that the runner waits for it. */
export const AWAITED_FILE = 'awaited';

const LOOK_INTERVAL_MS = 200;

/** Settles when there is a file of this name, or `signal` is aborted. */
export async function untilThere(path: string, signal?: AbortSignal): Promise<void> {
  while (signal?.aborted !== true && !existsSync(path)) await delay(LOOK_INTERVAL_MS);
}

/** Compiling vitest takes half of a short run's time under emulation; so that is kept from run to run. */
const COMPILE_CACHE = join(buildDirectory, 'compile-cache');

/**
 * @param files absolute paths of test files
 * @param events file below the project for what becomes of them
 * @param pattern of the full names of those to run, all of them without
 */
export function guestRun(files: readonly string[], events: string, pattern?: string): HostCommand {
  return {
    command: [
      pinnedNode,
      join(projectDirectory, 'node_modules/vitest/vitest.mjs'),
      'run',
      '--configLoader=native',
      '--project=guest',
      '--reporter=./test/support/guest-reporter.ts',
      '--no-cache', // hosts that run at once would write one file
      ...(pattern === undefined ? [] : ['--testNamePattern', pattern]),
      ...files.map((file) => relative(projectDirectory, file)),
    ],
    folder: projectDirectory,
    environment: { [EVENTS_VARIABLE]: events, NODE_COMPILE_CACHE: COMPILE_CACHE },
    stdin: 'none',
    kind: 'emulated',
  };
}
