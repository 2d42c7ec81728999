// Starts the processes that outlive a verb, and waits until they say that they are ready.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Duplex, Readable, Writable } from 'node:stream';
import type { Installation } from './installation.ts';
import { identify, type ProcessIdentity } from './process-identity.ts';
import { encodeProxyRequest, type ProxyOptions } from './proxy-request.ts';
import { RuntimeError } from './runtime-error.ts';
import { encodeSandboxArguments, type SandboxArguments } from './sandbox-arguments.ts';
import { SANDBOX_LOG } from './state-store.ts';

/** util-linux, on every Debian machine. */
const UNSHARE = '/usr/bin/unshare';
/** Where a child says that it is ready, and a proxy is told what to do. */
const READY_FD = 3;

/** A process that was started. */
export interface Launched {
  readonly identity: ProcessIdentity;
  readonly child: ChildProcess;
}

/** A proxy that is in the namespaces of its container. */
export interface PlacedProxy extends Launched {
  /** Settles once the guest's streams are connected. Rejects with RuntimeError PROXY_FAILED. */
  readonly ready: Promise<void>;
}

/** What long-lived children see of our environment: nothing of the caller's. */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };

/**
 * Starts the sandbox process, in a session, a mount and a network namespace of its own: what it mounts goes when it ends, however
 * it ends, and nothing of the host's network can be reached from it. Its standard input is the lifeline: see COMMIT_LINE.
 * @param onSpawn told its pid at once; when it throws, the process is killed
 * @throws RuntimeError SANDBOX_FAILED
 */
export async function launchSandbox(
  installation: Installation,
  directory: string,
  options: SandboxArguments,
  onSpawn: (pid: number) => void,
): Promise<Launched> {
  const logPath = join(directory, SANDBOX_LOG);
  const log = openSync(logPath, 'a', 0o600);
  try {
    const program = [installation.node, installation.sandboxProgram, ...encodeSandboxArguments(options)];
    const child = spawn(UNSHARE, ['--mount', '--propagation', 'slave', '--net', '--', ...program], {
      cwd: directory,
      detached: true,
      env: ENVIRONMENT,
      stdio: ['pipe', log, log, 'pipe'],
    });
    try {
      if (child.pid !== undefined) onSpawn(child.pid);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
    return await new Starter(child, (why) => {
      const lines = readFileSync(logPath, 'utf8').trim().split('\n').slice(-5).join('\n');
      const message = `cannot start the sandbox process: ${why}${why.startsWith('it ended') ? `\n${lines}` : ''}`;
      return new RuntimeError('SANDBOX_FAILED', message, { path: logPath });
    }).hear('READY');
  } finally {
    closeSync(log);
  }
}

/**
 * Starts a proxy with our own standard streams, in a session of its own.
 * @param onSpawn told of it before it does anything
 * @throws RuntimeError PROXY_FAILED
 */
export async function launchProxy(
  installation: Installation,
  directory: string,
  options: ProxyOptions,
  onSpawn: (identity: ProcessIdentity) => void,
): Promise<PlacedProxy> {
  const [argv0 = '', ...args] = options.commandLine;
  const child = spawn(installation.proxy, args, {
    argv0,
    cwd: directory,
    detached: true,
    env: {},
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
  });
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (identity !== undefined) onSpawn(identity);
  // It reads before it writes; one that ends before has said why.
  (child.stdio[READY_FD] as Duplex).write(encodeProxyRequest(options));
  const starter = new Starter(child, (why) => new RuntimeError('PROXY_FAILED', why, { path: installation.proxy }));
  const placed = await starter.hear('PLACED');
  const ready = starter.hear('READY').then(() => {});
  // It may fail long before anybody waits for that.
  ready.catch(() => {});
  return { ...placed, ready };
}

/** Who has started a process, and hears what it says of itself: a word a line, or ERROR and why not. */
class Starter {
  readonly #child: ChildProcess;
  readonly #failure: (why: string) => RuntimeError;
  readonly #lines: AsyncIterator<string>;

  /** @param failure makes the error, from why the process did not get as far as it should */
  constructor(child: ChildProcess, failure: (why: string) => RuntimeError) {
    this.#child = child;
    this.#failure = failure;
    this.#lines = linesOf(child);
  }

  /** Waits for a word; READY is the last. @throws what `failure` makes */
  async hear(word: string): Promise<Launched> {
    const { value: line = '' } = await this.#lines.next();
    const identity = this.#child.pid === undefined ? undefined : identify(this.#child.pid);
    if (line !== word || word === 'READY') (this.#child.stdio[READY_FD] as Readable).destroy();
    if (line === word && identity !== undefined) return { identity, child: this.#child };
    throw this.#failure(line.replace(/^ERROR /, ''));
  }
}

/** What a child says, and at last, as ERROR, how it ended. */
async function* linesOf(child: ChildProcess): AsyncGenerator<string, string> {
  const pipe = child.stdio[READY_FD] as Readable;
  const lines = createInterface(pipe);
  pipe.on('error', () => {});
  pipe.on('close', () => lines.close());
  // Not 'exit': that may come before what it wrote has been read, and it may come after the pipe has closed.
  const end = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (status, signal) => resolve(`it ended with ${signal ?? `status ${status}`}`));
  });
  yield* lines;
  return `ERROR ${await end}`;
}

/** Lets this process end before the child does. */
export function letGo({ child }: Launched): void {
  child.unref();
}

/** Writes the last line to a child's standard input, and waits until it is there. */
export async function endInput(child: ChildProcess, line: string): Promise<void> {
  const input = child.stdin as Writable;
  await new Promise<void>((resolve, reject) => {
    input.on('error', reject);
    input.end(`${line}\n`, () => resolve());
  });
}
