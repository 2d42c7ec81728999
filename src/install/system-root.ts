// The file system that is set up: the machine's own, or that of an image below a folder.
import { globSync, lstatSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { messageOf } from '../lib/errors.ts';
import { InstallError } from './install-error.ts';

/** As Linux follows, path_resolution(7). */
const MAXIMUM_LINKS = 40;
const EXECUTE = 0o111;

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

  /**
   * Where a path leads with all links followed as that system itself would follow them: in an image an absolute one starts at the
   * image's root, and none leads out of it. A path in that system; undefined where there is nothing.
   */
  follow(path: string): string | undefined {
    const ahead = path.split('/');
    let here = '/';
    let links = 0;
    for (let name = ahead.shift(); name !== undefined; name = ahead.shift()) {
      const next = join(here, name);
      const target = this.#linkTarget(next);
      if (target === undefined || links > MAXIMUM_LINKS) return undefined;
      if (target === '') {
        here = next;
        continue;
      }
      links += 1;
      if (target.startsWith('/')) here = '/';
      ahead.unshift(...target.split('/'));
    }
    return here;
  }

  /** Whether that system could call it. */
  isProgram(path: string): boolean {
    const real = this.follow(path);
    if (real === undefined) return false;
    const status = statSync(join(this.#root, real));
    return status.isFile() && (status.mode & EXECUTE) !== 0;
  }

  /** @returns '' for what is no link; undefined for what is not there */
  #linkTarget(path: string): string | undefined {
    const placed = join(this.#root, path);
    try {
      return lstatSync(placed).isSymbolicLink() ? readlinkSync(placed) : '';
    } catch {
      return undefined;
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
