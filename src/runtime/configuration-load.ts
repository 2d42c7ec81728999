// Where the configuration comes from: defaults, a file, and the drop-ins beside it. Most machines have neither, so that the reader
// of TOML is loaded for a file only.
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { defaultSettings, invalid, type Settings, withTable } from './configuration.ts';
import type { Installation } from './installation.ts';

export const CONFIGURATION_FILE = '/etc/tskata/config.toml';
/** Beside the file. */
const DROP_IN_FOLDER = 'config.d';

/**
 * Reads the configuration: of the keys that several files set, the last one counts.
 * @param path the file that the caller names; without it the usual one, which need not be there
 * @throws RuntimeError INVALID_CONFIGURATION naming the file
 */
export async function loadSettings(installation: Installation, path?: string): Promise<Settings> {
  let settings = defaultSettings(installation);
  const files = configurationFiles(path === undefined ? undefined : resolve(path));
  if (files.length === 0) return settings;
  const { readTable } = await import('./configuration-file.ts');
  for (const file of files) settings = withTable(settings, readTable(file), file);
  return settings;
}

function configurationFiles(named: string | undefined): string[] {
  const file = named ?? CONFIGURATION_FILE;
  if (named !== undefined && !existsSync(named)) {
    throw invalid(`there is no configuration file ${named}, which --config names`, { path: named });
  }
  const folder = join(dirname(file), DROP_IN_FOLDER);
  return [...(existsSync(file) ? [file] : []), ...dropIns(folder)];
}

function dropIns(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.toml'))
    .sort()
    .map((name) => join(folder, name));
}
