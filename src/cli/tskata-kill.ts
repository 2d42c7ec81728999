// `tskata kill`: sends a signal to a container.
import { parseSignal, SIGTERM } from '../oci/signals.ts';
import { killContainer } from '../runtime/operations.ts';
import { RuntimeError } from '../runtime/runtime-error.ts';
import { StateStore } from '../runtime/state-store.ts';
import type { GlobalOptions } from './tskata.ts';

/** @param signalText a number or a name; SIGTERM when absent or empty, as with runc */
export async function kill(
  globals: GlobalOptions,
  id: string,
  signalText: string | undefined,
  all: boolean,
): Promise<void> {
  const store = new StateStore(globals.root);
  // As runc does: that there is no such container is said before what is wrong with the signal.
  store.read(id);
  const signal = signalText ? parseSignal(signalText) : SIGTERM;
  if (signal === undefined) throw new RuntimeError('INVALID_SIGNAL', `unknown signal ${JSON.stringify(signalText)}`);
  await killContainer(store, id, signal, all);
}
