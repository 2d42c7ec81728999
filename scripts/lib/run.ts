// Runs a program of the build: its output goes to a log that is shown only when it fails.
import { type SpawnOptions, spawn } from 'node:child_process';

/** A program of the build ended with another status than 0. */
export class CommandError extends Error {
  readonly command: string;
  readonly status: number | null;
  constructor(command: string, status: number | null, signal: string | null, output: string) {
    const how = signal === null ? `exit status ${status}` : `signal ${signal}`;
    super(`${command} ended with ${how}; its last lines:\n${output.split('\n').slice(-40).join('\n')}`);
    this.name = 'CommandError';
    this.command = command;
    this.status = status;
  }
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string | undefined>;
  /** Text for the program's standard input; nothing when absent. */
  readonly input?: string | Uint8Array;
  /** Called with each line of output as it comes, for a progress display. */
  readonly onLine?: (line: string) => void;
}

/**
 * Runs a program to its end and gives back what it printed on stdout.
 * @throws CommandError with the last lines of stdout and stderr when it does not end with status 0.
 */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const spawnOptions: SpawnOptions = {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  };
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, spawnOptions);
    const stdout: Buffer[] = [];
    let tail = '';
    let partial = '';
    const follow = (chunk: Buffer): void => {
      const text = chunk.toString('latin1');
      tail = (tail + text).slice(-16384);
      if (options.onLine === undefined) return;
      const lines = (partial + text).split('\n');
      partial = lines.pop() ?? '';
      for (const line of lines) options.onLine(line);
    };
    child.stdout?.on('data', (chunk: Buffer) => {
      stdout.push(chunk);
      follow(chunk);
    });
    child.stderr?.on('data', follow);
    child.on('error', (cause) => reject(new Error(`cannot run ${program}: ${cause.message}`, { cause })));
    child.on('close', (status, signal) => {
      if (status === 0) resolve(Buffer.concat(stdout).toString('utf8'));
      else reject(new CommandError([program, ...args].join(' '), status, signal, tail));
    });
    if (options.input !== undefined) child.stdin?.end(options.input);
  });
}
