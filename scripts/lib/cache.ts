// The content-addressed build cache: the same inputs are built once per machine, whoever asks, however often it is cloned.
import { createHash, type Hash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { withLock } from './lock.ts';
import { cacheDirectory } from './paths.ts';

/** What an artefact is made from. The hash of all of it is its address. */
export interface Inputs {
  /** Files and folders whose content counts (folders: every file below, with its name). */
  readonly files?: readonly string[];
  /** Anything else that counts: versions, options, compiler release. */
  readonly values?: readonly string[];
}

function hashPath(hash: Hash, path: string, name: string): void {
  const stat = lstatSync(path);
  if (stat.isDirectory()) {
    for (const entry of readdirSync(path).sort()) hashPath(hash, join(path, entry), `${name}/${entry}`);
  } else {
    hash.update(`${name}\0${(stat.mode & 0o111) !== 0}\0`);
    hash.update(stat.isSymbolicLink() ? readlinkSync(path) : readFileSync(path));
  }
}

/** The address of what is made from these inputs: 16 hexadecimal digits. */
export function contentHash(inputs: Inputs): string {
  const hash = createHash('sha256');
  for (const [index, file] of (inputs.files ?? []).entries()) hashPath(hash, file, String(index));
  for (const value of inputs.values ?? []) hash.update(`value\0${value}\0`);
  return hash.digest('hex').slice(0, 16);
}

/**
 * Gives the folder `<cache>/<name>-<hash>`, built by `build` if it is not there yet.
 * `build` fills the empty folder it is given; only a build that succeeded gets its address (by one rename), and two
 * builders of the same thing wait for each other.
 */
export async function cached(
  name: string,
  inputs: Inputs,
  build: (outputDirectory: string) => Promise<void>,
): Promise<string> {
  const address = join(cacheDirectory, `${name}-${contentHash(inputs)}`);
  if (existsSync(address)) return address;
  mkdirSync(cacheDirectory, { recursive: true });
  return await withLock(`${address}.lock`, async () => {
    if (existsSync(address)) return address;
    const scratch = mkdtempSync(join(cacheDirectory, `.${name}-`));
    try {
      await build(scratch);
      renameSync(scratch, address);
    } catch (error) {
      rmSync(scratch, { recursive: true, force: true });
      throw error;
    }
    return address;
  });
}

/**
 * Copies an artefact to its fixed place. By a rename: who starts meanwhile gets a whole file, who runs the old one keeps it.
 * @returns the place
 */
export function publish(artefact: string, place: string): string {
  mkdirSync(dirname(place), { recursive: true });
  const fresh = `${place}.${process.pid}`;
  copyFileSync(artefact, fresh);
  renameSync(fresh, place);
  return place;
}
