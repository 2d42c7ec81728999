// The small C programs that play the callers of a runtime: what Node cannot do itself. They are static, so that they run
// wherever the project's folder is shared to.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { cached } from '../../scripts/lib/cache.ts';
import { buildDirectory } from '../../scripts/lib/paths.ts';
import { run } from '../../scripts/lib/run.ts';

const NAMES = ['console-holder', 'subreaper'] as const;
const FOLDER = join(buildDirectory, 'test');

/** Builds the programs into build/test. */
export async function buildHelpers(): Promise<void> {
  const sources = NAMES.map((name) => join(import.meta.dirname, `${name}.c`));
  const flags = ['-static', '-O1', '-Wall', '-Wextra', '-Werror'];
  const address = await cached('oci-helpers', { files: sources, values: flags }, async (output) => {
    for (const [index, source] of sources.entries()) {
      await run('musl-gcc', [...flags, '-o', join(output, String(NAMES[index])), source]);
    }
  });
  mkdirSync(FOLDER, { recursive: true });
  for (const name of NAMES) copyFileSync(join(address, name), join(FOLDER, name));
}

/** A program whose output is waited for. */
export class Conversation implements Disposable {
  readonly child: ChildProcess;
  #output = '';

  constructor(program: string, args: readonly string[]) {
    this.child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.child.stdout?.on('data', (bytes: Buffer) => {
      this.#output += bytes.toString();
    });
  }

  /** All that came so far, once it contains `text`. */
  async until(text: string): Promise<string> {
    while (!this.#output.includes(text)) {
      if (this.child.exitCode !== null) throw new Error(`no ${JSON.stringify(text)} came: ${this.#output}`);
      await Promise.race([once(this.child.stdout ?? this.child, 'data'), once(this.child, 'close')]);
    }
    return this.#output;
  }

  type(text: string): void {
    this.child.stdin?.write(text);
  }

  endInput(): void {
    this.child.stdin?.end();
  }

  [Symbol.dispose](): void {
    this.child.kill('SIGKILL');
  }
}

/** Holds the terminal's master that is sent to `path`. @param size set on it when the input ends: rows and columns */
export async function holdConsole(
  path: string,
  size: readonly [number, number] | readonly [] = [],
): Promise<Conversation> {
  const holder = new Conversation(join(FOLDER, 'console-holder'), [path, ...size.map(String)]);
  await holder.until('listening\n');
  return holder;
}

/** Runs a `create` as a container manager does: see subreaper.c. */
export function manage(pidFile: string, command: readonly string[]): Conversation {
  return new Conversation(join(FOLDER, 'subreaper'), [pidFile, ...command]);
}
