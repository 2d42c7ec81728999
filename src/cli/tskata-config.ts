// `tskata config`: prints the configuration that holds, and where each value comes from.
import { CONFIGURATION_KEYS, type Settings } from '../runtime/configuration.ts';
import { loadSettings } from '../runtime/configuration-load.ts';
import { checkFiles } from '../runtime/sandbox-plan.ts';
import type { GlobalOptions } from './tskata.ts';
import { print } from './tskata-output.ts';

/** What is said of a value that nobody has set. */
const DEFAULT_SOURCE = 'default';

/**
 * @param check whether to print nothing: the status tells whether the configuration can be used
 * @throws RuntimeError INVALID_CONFIGURATION
 */
export async function config(globals: GlobalOptions, format: string, check: boolean): Promise<void> {
  const settings = await loadSettings(globals.installation, globals.config);
  checkFiles(settings);
  if (check) return;
  if (format === 'toml') await print(toToml(settings));
  else if (format === 'json') await print(`${JSON.stringify(toTable(settings), null, 2)}\n`);
  else throw new Error('invalid format option');
}

/** A configuration file that says the same. JSON's texts and lists are TOML's too. */
export function toToml({ values, sources }: Settings): string {
  const lines = CONFIGURATION_KEYS.map((key) => ({
    text: `${key} = ${JSON.stringify(values[key])}`,
    source: sources[key],
  }));
  return lines.map(({ text, source = DEFAULT_SOURCE }) => `${text} # ${source}\n`).join('');
}

function toTable({ values, sources }: Settings): Record<string, { value: unknown; source: string }> {
  const rows = CONFIGURATION_KEYS.map((key) => [key, { value: values[key], source: sources[key] ?? DEFAULT_SOURCE }]);
  return Object.fromEntries(rows);
}
