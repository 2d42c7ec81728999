// Engines on files that are no files.
import type { Engine, Found, Setup } from '../engine.ts';
import { NO_SHIM, type Shim } from '../shim.ts';

export const PROGRAM = '/usr/local/bin/tskata';
export const SHIM: Shim & { readonly path: string } = { path: '/opt/tskata/bin/containerd-shim-tskata-v2' };

/**
 * @param files what can be read, by absolute path
 * @param version what engines say of theirs
 */
export function setup(files: Readonly<Record<string, string>> = {}, version?: string, shim: Shim = NO_SHIM): Setup {
  return {
    program: PROGRAM,
    shim,
    hostMemoryOverheadMib: 256,
    read: (path) => files[path],
    list(pattern) {
      const folder = pattern.slice(0, pattern.lastIndexOf('/') + 1);
      return Object.keys(files)
        .filter((path) => path.startsWith(folder))
        .sort();
    },
    engineVersion: () => version,
  };
}

const found = (text: string | undefined): Found => ({ path: '/file', text });

/** What a file is after the first call, the second call, and the removal. */
export function throughLife(engine: Engine, before: string | undefined, given = setup()): (string | undefined)[] {
  const once = engine.install(found(before), given).text;
  const twice = engine.install(found(once), given).text;
  return [once, twice, engine.uninstall(found(twice), given).text];
}
