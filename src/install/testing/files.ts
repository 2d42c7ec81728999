// Engines on files that are no files.
import type { Engine, Found, Setup } from '../engine.ts';

export const PROGRAM = '/usr/local/bin/tskata';

/** @param files what can be read, by absolute path */
export function setup(files: Readonly<Record<string, string>> = {}, version?: string): Setup {
  return {
    program: PROGRAM,
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
