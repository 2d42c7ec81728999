// `tskata create`: what a caller's engine does first.
import { createContainer } from '../runtime/create.ts';
import { letGo } from '../runtime/launch.ts';
import { failedVerb } from '../runtime/operations.ts';
import { StateStore } from '../runtime/state-store.ts';
import type { GlobalOptions } from './tskata.ts';

/** The flags that `create` and `run` share, as commander gives them. */
export interface CreateFlags {
  readonly bundle: string;
  readonly consoleSocket?: string;
  readonly pidfdSocket?: string;
  readonly pidFile?: string;
  readonly preserveFds: number;
}

export interface RunFlags extends CreateFlags {
  readonly detach?: boolean;
  readonly keep?: boolean;
}

/** When this command was entered, on CLOCK_MONOTONIC. */
export function commandStartNs(): bigint {
  return process.hrtime.bigint() - BigInt(Math.round(performance.now() * 1e6));
}

export async function create(globals: GlobalOptions, flags: CreateFlags, id: string): Promise<void> {
  const store = new StateStore(globals.root);
  try {
    const options = {
      ...flags,
      ...globals.cgroup,
      configFile: globals.config,
      id,
      detach: true,
      debug: globals.log.debug,
      commandStartNs: commandStartNs(),
    };
    const { sandbox, proxy } = await createContainer(store, globals.installation, options, globals.warn);
    sandbox.letGo();
    letGo(proxy);
  } catch (error) {
    throw failedVerb('create', error);
  }
}
