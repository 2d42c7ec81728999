// The other end of a console socket: see console-holder.c.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { cached } from '../../scripts/lib/cache.ts';
import { buildDirectory } from '../../scripts/lib/paths.ts';
import { run } from '../../scripts/lib/run.ts';

const PROGRAM = join(buildDirectory, 'test/console-holder');

/** Builds the program; it is static, so that it runs wherever the project's folder is shared to. */
export async function buildConsoleHolder(): Promise<void> {
  const source = join(import.meta.dirname, 'console-holder.c');
  const flags = ['-static', '-O1', '-Wall', '-Wextra', '-Werror'];
  const address = await cached('console-holder', { files: [source], values: flags }, async (output) => {
    await run('musl-gcc', [...flags, '-o', join(output, 'console-holder'), source]);
  });
  mkdirSync(join(buildDirectory, 'test'), { recursive: true });
  copyFileSync(join(address, 'console-holder'), PROGRAM);
}

export class ConsoleHolder implements Disposable {
  readonly child: ChildProcessWithoutNullStreams;
  #output = '';

  /** Listens at `path`. @param size set on the terminal when `end` is called: rows and columns */
  static async listen(path: string, size: readonly [number, number] | readonly [] = []): Promise<ConsoleHolder> {
    const holder = new ConsoleHolder(spawn(PROGRAM, [path, ...size.map(String)]));
    await holder.until('listening\n');
    return holder;
  }

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.child = child;
    child.stdout.on('data', (bytes: Buffer) => {
      this.#output += bytes.toString();
    });
  }

  /** All that came so far, once it contains `text`. */
  async until(text: string): Promise<string> {
    while (!this.#output.includes(text)) {
      if (this.child.exitCode !== null)
        throw new Error(`the terminal ended before ${JSON.stringify(text)}: ${this.#output}`);
      await Promise.race([once(this.child.stdout, 'data'), once(this.child, 'exit')]);
    }
    return this.#output;
  }

  type(text: string): void {
    this.child.stdin.write(text);
  }

  /** Ends the input; sets the size. */
  end(): void {
    this.child.stdin.end();
  }

  [Symbol.dispose](): void {
    this.child.kill('SIGKILL');
  }
}
