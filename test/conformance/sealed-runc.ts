// runc without the copy of itself that it makes at each start: half of its time on an emulated processor.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { containerConfig } from './config.ts';
import { makePlace } from './place.ts';

/**
 * The copy keeps containers from writing runc's program (CVE-2019-5736): memory that is sealed. A container that is created and
 * not started has its first process run from it, and who runs from there needs no other.
 */
export class SealedRunc implements Disposable {
  /** Path of the copy, while this lives. */
  readonly program: string;
  readonly #runc: string;
  readonly #folder: string;
  readonly #id = `conformance-${process.pid}-sealed`;

  /** @param runc the program, by absolute path. @param parent folder for the container */
  constructor(runc: string, parent: string) {
    this.#runc = runc;
    this.#folder = mkdtempSync(join(parent, 'sealed-runc-'));
    const place = makePlace(this.#folder, this.#folder);
    writeFileSync(join(place.folder, 'config.json'), JSON.stringify(containerConfig(['/bin/probe', 'cwd'], {})));
    // What it printed to would stay open for as long as it lives.
    this.#call('ignore', 'create', '--bundle', place.folder);
    const { pid } = JSON.parse(this.#call('pipe', 'state')) as { pid: number };
    this.program = `/proc/${pid}/exe`;
  }

  [Symbol.dispose](): void {
    this.#call('ignore', 'delete', '--force');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #call(stdout: 'ignore' | 'pipe', ...args: readonly string[]): string {
    const root = ['--root', join(this.#folder, 'state')];
    return execFileSync(this.#runc, [...root, ...args, this.#id], {
      encoding: 'utf8',
      stdio: ['ignore', stdout, 'ignore'],
    });
  }
}
