// `tskata events`: a container's statistics and events, a line of JSON each, as runc prints them.
import { encodeEvent, type RuncEvent, runcStats } from '../oci/runc-stats.ts';
import { type ContainerEvent, containerStats, followEvents } from '../runtime/events.ts';
import { StateStore } from '../runtime/state-store.ts';
import type { GlobalOptions } from './tskata.ts';
import { print } from './tskata-output.ts';

/** As commander gives them. */
export interface EventsFlags {
  /** Milliseconds. */
  readonly interval: number;
  readonly stats?: boolean;
}

export async function events(globals: GlobalOptions, flags: EventsFlags, id: string): Promise<void> {
  const store = new StateStore(globals.root);
  store.read(id);
  if (!(flags.interval > 0)) throw new Error('duration interval must be greater than 0');
  const tell = async (event: ContainerEvent): Promise<void> => {
    await print(`${encodeEvent(runcEvent(id, event))}\n`);
  };
  if (flags.stats === true) await tell({ type: 'stats', stats: await containerStats(store, id) });
  else await followEvents(store, id, flags.interval, tell);
}

function runcEvent(id: string, event: ContainerEvent): RuncEvent {
  return event.type === 'oom' ? { type: 'oom', id } : { type: 'stats', id, data: runcStats(event.stats) };
}
