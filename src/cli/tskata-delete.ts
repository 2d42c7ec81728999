// `tskata delete`: removes a container and all it held.
import { deleteContainer } from '../runtime/operations.ts';
import { StateStore } from '../runtime/state-store.ts';
import type { GlobalOptions } from './tskata.ts';

export async function deleteVerb(globals: GlobalOptions, id: string, force: boolean): Promise<void> {
  await deleteContainer(new StateStore(globals.root), id, force, globals.warn);
}
