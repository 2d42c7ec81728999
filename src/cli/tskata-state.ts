// `tskata state`: prints what runc prints, which has no line feed at its end.
import { currentState } from '../runtime/container-state.ts';
import { StateStore } from '../runtime/state-store.ts';
import type { GlobalOptions } from './tskata.ts';

export function state(globals: GlobalOptions, id: string): void {
  const record = new StateStore(globals.root).read(id);
  process.stdout.write(JSON.stringify(currentState(record), null, 2));
}
