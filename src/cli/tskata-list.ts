// `tskata list`: all containers below the root.
import type { State } from '../oci/state.ts';
import { currentState, userName } from '../runtime/container-state.ts';
import type { Warn } from '../runtime/operations.ts';
import { RuntimeError } from '../runtime/runtime-error.ts';
import { StateStore } from '../runtime/state-store.ts';
import type { GlobalOptions } from './tskata.ts';
import { print } from './tskata-output.ts';

/** runc's table: columns of at least 12 characters, 3 of them space. */
const COLUMN_WIDTH = 12;
const COLUMN_SPACE = 3;

export async function list(globals: GlobalOptions, format: string, quiet: boolean): Promise<void> {
  const states = await readStates(new StateStore(globals.root), globals.warn);
  if (quiet) await print(states.map(({ id }) => `${id}\n`).join(''));
  else if (format === 'table') await print(table(states));
  // What Go prints for a list that has nothing in it.
  else if (format === 'json') await print(states.length === 0 ? 'null\n' : `${JSON.stringify(states)}\n`);
  else throw new Error('invalid format option');
}

async function readStates(store: StateStore, warn: Warn): Promise<State[]> {
  const states: State[] = [];
  for (const id of store.list()) {
    try {
      const record = store.read(id);
      states.push(currentState(record, userName(record.uid)));
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
      // Not found: deleted since the folder was read. Damaged: the others are still to be seen.
      if (error.code !== 'NOT_FOUND') await warn(error.message);
    }
  }
  return states;
}

function table(states: readonly State[]): string {
  const rows = [
    ['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED', 'OWNER'],
    ...states.map(({ id, pid, status, bundle, created, owner }) => [id, String(pid), status, bundle, created, owner]),
  ];
  const widths = [0, 1, 2, 3, 4].map((column) =>
    Math.max(COLUMN_WIDTH, ...rows.map((row) => (row[column] ?? '').length + COLUMN_SPACE)),
  );
  return rows.map((row) => `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('')}\n`).join('');
}
