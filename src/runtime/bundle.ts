// Reads a bundle: the folder with config.json and the root file system.
import { readFileSync, statSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { messageOf } from '../lib/errors.ts';
import { CONFIG_FILE, type Config } from '../oci/config.ts';
import { parseConfigText } from '../oci/config-text.ts';
import { validateConfig } from '../oci/validate.ts';
import { RuntimeError } from './runtime-error.ts';

export interface Bundle {
  /** Absolute path. */
  readonly directory: string;
  readonly config: Config;
  /** Absolute path of the root file system. */
  readonly rootfs: string;
}

/** @throws RuntimeError INVALID_BUNDLE; ConfigError */
export function readBundle(path: string): Bundle {
  const directory = resolve(path);
  const invalid = (message: string, cause?: unknown): RuntimeError =>
    new RuntimeError('INVALID_BUNDLE', message, { bundle: directory }, { cause });
  if (!isDirectory(directory)) throw invalid(`chdir ${path}: no such file or directory`);
  const file = join(directory, CONFIG_FILE);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw invalid(
      isMissing ? `JSON specification file ${CONFIG_FILE} not found` : `cannot read ${file}: ${messageOf(error)}`,
      error,
    );
  }
  let parsed: unknown;
  try {
    parsed = parseConfigText(text);
  } catch (error) {
    throw invalid(`${file} is not JSON: ${messageOf(error)}`, error);
  }
  const config = validateConfig(parsed);
  const rootfs = isAbsolute(config.root.path) ? config.root.path : join(directory, config.root.path);
  if (!isDirectory(rootfs)) throw invalid(`invalid rootfs: stat ${rootfs}: no such file or directory`);
  return { directory, config, rootfs };
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
