// The file system that is set up: the machine's own, or that of an image below a folder.
import { globSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { messageOf } from '../lib/errors.ts';
import { InstallError } from './install-error.ts';

export class SystemRoot {
  readonly #root: string;

  /** @throws InstallError for a folder that is not there */
  constructor(root: string) {
    try {
      this.#root = realpathSync(root);
    } catch (cause) {
      throw new InstallError('CANNOT_READ', `--root ${root}: ${messageOf(cause)}`, { path: root }, { cause });
    }
  }

  get isMachine(): boolean {
    return this.#root === '/';
  }

  /**
   * Where a file of that system is.
   * @throws InstallError OUTSIDE_ROOT when a symbolic link on the way leads out of it, to files of the machine
   */
  place(path: string): string {
    const placed = join(this.#root, resolve('/', path));
    const real = nearestReal(placed);
    const isInside = this.isMachine || real === this.#root || real.startsWith(this.#root + sep);
    if (isInside) return placed;
    throw new InstallError('OUTSIDE_ROOT', `${placed} leads to ${real}, which is not below --root ${this.#root}`, {
      path,
    });
  }

  /** @throws InstallError CANNOT_READ */
  read(path: string): string | undefined {
    const placed = this.place(path);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(placed));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new InstallError('CANNOT_READ', `cannot read ${placed}: ${messageOf(cause)}`, { path }, { cause });
    }
  }

  /** Paths in that system, sorted. */
  list(pattern: string): string[] {
    return globSync(pattern.slice(1), { cwd: this.#root })
      .map((path) => `/${path}`)
      .sort();
  }
}

/** What is there of a path, with links followed. */
function nearestReal(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path === dirname(path) ? path : nearestReal(dirname(path));
  }
}
