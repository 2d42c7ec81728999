// `tskata start`: lets a created container's program run.
import { startContainer } from '../runtime/operations.ts';
import { StateStore } from '../runtime/state-store.ts';
import type { GlobalOptions } from './tskata.ts';

export async function start(globals: GlobalOptions, id: string): Promise<void> {
  await startContainer(new StateStore(globals.root), id, globals.warn);
}
