// `tskata state`: prints what runc prints, which has no line feed at its end.
import { currentState } from '../runtime/container-state.ts';
import { StateStore } from '../runtime/state-store.ts';
import type { GlobalOptions } from './tskata.ts';
import { print } from './tskata-output.ts';

export async function state(globals: GlobalOptions, id: string): Promise<void> {
  const record = new StateStore(globals.root).read(id);
  await print(JSON.stringify(currentState(record), null, 2));
}
