// Reads one configuration file. Apart from the rest, so that who has no such file does not load a parser of TOML.
import { readFileSync } from 'node:fs';
import { parse, TomlError } from 'smol-toml';
import { messageOf } from '../lib/errors.ts';
import { invalid } from './configuration.ts';

export type Table = Readonly<Record<string, unknown>>;

/** @throws RuntimeError INVALID_CONFIGURATION naming the file, and the line where it is not TOML */
export function readTable(path: string): Table {
  return tableOf(() => readFileSync(path, 'utf8'), path);
}

/** @param path for messages @throws as `readTable` does */
export function parseTable(text: string, path: string): Table {
  return tableOf(() => text, path);
}

function tableOf(read: () => string, path: string): Table {
  try {
    return parse(read());
  } catch (error) {
    // Its message goes on with a picture of the line.
    const message = messageOf(error).split('\n')[0];
    const place = error instanceof TomlError ? `, line ${error.line}, column ${error.column}` : '';
    throw invalid(`cannot read the configuration file ${path}${place}: ${message}`, { path });
  }
}
