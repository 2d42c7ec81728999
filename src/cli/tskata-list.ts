// `tskata list`: all containers below the root.
import type { State } from '../oci/state.ts';
import { currentState, userName } from '../runtime/container-state.ts';
import { RuntimeError } from '../runtime/runtime-error.ts';
import { StateStore } from '../runtime/state-store.ts';
import type { GlobalOptions } from './tskata.ts';

/** runc's table: columns of at least 12 characters, 3 of them space. */
const COLUMN_WIDTH = 12;
const COLUMN_SPACE = 3;

export function list(globals: GlobalOptions, format: string, quiet: boolean): void {
  const states = readStates(new StateStore(globals.root));
  if (quiet) process.stdout.write(states.map(({ id }) => `${id}\n`).join(''));
  else if (format === 'table') process.stdout.write(table(states));
  // What Go prints for a list that has nothing in it.
  else if (format === 'json') process.stdout.write(states.length === 0 ? 'null\n' : `${JSON.stringify(states)}\n`);
  else throw new Error('invalid format option');
}

function readStates(store: StateStore): State[] {
  return store.list().flatMap((id) => {
    try {
      const record = store.read(id);
      return [currentState(record, userName(record.uid))];
    } catch (error) {
      // Deleted since the folder was read.
      if (error instanceof RuntimeError && error.code === 'NOT_FOUND') return [];
      throw error;
    }
  });
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
