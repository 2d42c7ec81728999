// `tskata pause` and `tskata resume`.
import { pauseContainer, resumeContainer } from '../runtime/pause.ts';
import { StateStore } from '../runtime/state-store.ts';
import type { GlobalOptions } from './tskata.ts';

export async function pause(globals: GlobalOptions, id: string): Promise<void> {
  await pauseContainer(new StateStore(globals.root), id);
}

export async function resume(globals: GlobalOptions, id: string): Promise<void> {
  await resumeContainer(new StateStore(globals.root), id);
}
