// Programs that serve a device for us: virtiofsd, qemu-storage-daemon, passt. Each gets its end of one connection as a
// descriptor, so that nothing of it is in the file system, and ends with this process, however this process ends.
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OwnedFd } from '../ffi/fd.unsafe.ts';
import { listenUnix, UnixConnection } from '../ffi/unix-socket.unsafe.ts';
import { messageOf, TskataError } from '../lib/errors.ts';
import { DEFAULT_TIMEOUT_MS } from './vhost-user-connection.ts';

export type BackEndErrorCode =
  /** The program is not installed. */
  | 'NOT_FOUND'
  /** It ended, or gave no sign, before it was at work. */
  | 'NOT_STARTED'
  /** It ended by itself. */
  | 'ENDED';

/** The message ends with the last lines that the program wrote. */
export class BackEndError extends TskataError<BackEndErrorCode> {}

export interface BackEndProcessOptions {
  /** For messages: "/usr/libexec/virtiofsd, serving /srv". */
  readonly name: string;
  /**
   * The command line, program first.
   * @param fd the descriptor in the program
   */
  readonly command: (fd: number) => readonly string[];
  /** What its descriptor is: a socket that listens, with our connection in its queue already, or a connected one. */
  readonly socket: 'listening' | 'connected';
  /** Called when it ends by itself after `open`, never after its disposal. */
  readonly onEnd?: (failure: BackEndError) => void;
  /**
   * How it ends with us. SIGTERM for one that has to write down what it keeps in memory. @default SIGKILL
   */
  readonly endSignal?: 'SIGTERM' | 'SIGKILL';
  /** Longest wait for each of its answers, milliseconds. @default 30000 */
  readonly timeoutMs?: number;
}

/** What a process gets to be gone after its signal, milliseconds. */
const EXIT_TIMEOUT_MS = 5000;
/** What a process gets to end by itself and say why, after its connection broke, milliseconds. */
const LAST_WORDS_TIMEOUT_MS = 1000;
const KEPT_LINES = 8;
const KEPT_LINE_LENGTH = 1000;
/** The first descriptor behind the standard ones. */
const SOCKET_FD = 3;

/** One such program at work. */
export class BackEndProcess implements AsyncDisposable {
  readonly name: string;
  readonly #options: BackEndProcessOptions;
  readonly #child: ChildProcess;
  readonly #connection: UnixConnection;
  /** Settles once the process is gone, or was never there. */
  readonly #gone = Promise.withResolvers<void>();
  /** Settles once it has ended by itself and its last words are here. */
  readonly #failed = Promise.withResolvers<void>();
  readonly #lastLines: string[] = [];
  #partialLine = '';
  #failure: BackEndError | undefined;
  #isOpened = false;
  #isAtWork = false;
  #isDisposed = false;

  /** Starts the program. @throws SystemError when there is no socket for it */
  constructor(options: BackEndProcessOptions) {
    this.#options = options;
    this.name = options.name;
    const { timeoutMs = DEFAULT_TIMEOUT_MS, endSignal = 'SIGKILL' } = options;
    const [ours, theirs] = options.socket === 'connected' ? connectedPair(timeoutMs) : connectedListener(timeoutMs);
    using _theirs = theirs;
    this.#connection = ours;
    // setpriv becomes the program: the signal at our end stays with it.
    const command = ['--pdeathsig', endSignal.slice('SIG'.length), '--', ...options.command(SOCKET_FD)];
    // In a session of its own: what a terminal or timeout(1) sends to all of us is for us alone, and the guest needs its
    // devices for as long as it takes to shut down.
    const stdio = ['ignore', 'ignore', 'pipe', theirs.fd] as const;
    this.#child = spawn('/usr/bin/setpriv', command, { stdio: [...stdio], detached: true });
    this.#child.stderr?.on('data', (chunk: Buffer) => this.#keepLines(chunk));
    this.#child.once('error', (error) => {
      // Also told when a signal could not be sent: only a process that was never started has no pid.
      if (this.#child.pid === undefined) this.#gone.resolve();
      this.#end(messageOf(error));
    });
    this.#child.once('exit', () => this.#gone.resolve());
    // 'close' comes after the last of its output, 'exit' does not.
    this.#child.once('close', (status, signal) => this.#end(signal === null ? `status ${status}` : signal));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /**
   * Has the first talk with the program; then it counts as at work. Call once.
   * @param talk owns the connection from here on
   * @throws BackEndError NOT_STARTED when the talk failed because the program ended, else what the talk threw (rejects)
   */
  async open<Result>(talk: (connection: UnixConnection) => Promise<Result>): Promise<Result> {
    this.#isOpened = true;
    try {
      const result = await talk(this.#connection);
      this.#isAtWork = true;
      return result;
    } catch (error) {
      await within(LAST_WORDS_TIMEOUT_MS, this.#failed.promise);
      throw this.#failure ?? this.#error('NOT_STARTED', `is not at work: ${messageOf(error)}`);
    }
  }

  /**
   * Ends it and waits until it is gone: as long as it lives, files and file systems that it serves are in use. One that does
   * not go by SIGTERM is killed; one that the kernel does not let go, for a server that does not answer, is waited for
   * EXIT_TIMEOUT_MS and no longer.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isDisposed) {
      this.#isDisposed = true;
      if (!this.#isOpened) this.#connection[Symbol.dispose]();
      this.#child.stderr?.destroy();
      if (this.#options.endSignal === 'SIGTERM') {
        this.#child.kill('SIGTERM');
        await within(EXIT_TIMEOUT_MS, this.#gone.promise);
      }
      this.#child.kill('SIGKILL');
    }
    await within(EXIT_TIMEOUT_MS, this.#gone.promise);
  }

  #end(how: string): void {
    if (this.#isDisposed || this.#failure !== undefined) return;
    this.#failure = this.#error(this.#isAtWork ? 'ENDED' : 'NOT_STARTED', `ended (${how})`);
    this.#failed.resolve();
    if (this.#isAtWork) this.#options.onEnd?.(this.#failure);
  }

  #error(code: BackEndErrorCode, what: string): BackEndError {
    const lines = [...this.#lastLines, this.#partialLine].filter((line) => line !== '');
    const said = lines.length === 0 ? 'it said nothing' : `it said last:\n${lines.join('\n')}`;
    return new BackEndError(code, `${this.name}, ${what}; ${said}`, { name: this.name });
  }

  #keepLines(chunk: Buffer): void {
    const lines = (this.#partialLine + chunk.toString()).split('\n');
    this.#partialLine = (lines.pop() ?? '').slice(-KEPT_LINE_LENGTH);
    this.#lastLines.push(...lines.map((line) => line.slice(0, KEPT_LINE_LENGTH)));
    this.#lastLines.splice(0, this.#lastLines.length - KEPT_LINES);
  }
}

/**
 * The first of these programs that is there.
 * @param advice what to install
 * @throws BackEndError NOT_FOUND with the advice
 */
export function findProgram<Program extends { readonly path: string }>(
  name: string,
  programs: readonly Program[],
  advice: string,
): Program {
  const found = programs.find(({ path }) => isExecutable(path));
  if (found !== undefined) return found;
  const paths = programs.map(({ path }) => path).join(', ');
  throw new BackEndError('NOT_FOUND', `${name} is not installed (looked at ${paths}): ${advice}`, { name });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function connectedPair(timeoutMs: number): [UnixConnection, UnixConnection] {
  return UnixConnection.pair(timeoutMs);
}

/** A listening socket whose name is gone when this returns, with our connection in its queue. */
function connectedListener(timeoutMs: number): [UnixConnection, OwnedFd] {
  const directory = mkdtempSync(join(tmpdir(), 'tskata-'));
  const path = join(directory, 'socket');
  try {
    using stack = new DisposableStack();
    const listener = stack.use(listenUnix(path));
    const connection = UnixConnection.connect(path, timeoutMs);
    stack.move();
    return [connection, listener];
  } finally {
    rmSync(path, { force: true });
    rmdirSync(directory);
  }
}

/** Waits for this, but no longer than this. */
async function within(timeoutMs: number, promise: Promise<void>): Promise<void> {
  const timeout = new AbortController();
  await Promise.race([promise, sleep(timeoutMs, undefined, { signal: timeout.signal }).catch(() => {})]);
  timeout.abort();
}
