// virtiofsd, the program that serves a folder to a guest: Debian 12 has the one in C (QEMU's), Debian 13 the one in Rust.
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, TskataError } from '../lib/errors.ts';

/** Which program it is: they differ in their options. */
export type VirtiofsdFlavour = 'c' | 'rust';

export interface VirtiofsdProgram {
  readonly path: string;
  readonly flavour: VirtiofsdFlavour;
}

/** Where the programs are, the better one first. */
const PROGRAMS: readonly VirtiofsdProgram[] = [
  { path: '/usr/libexec/virtiofsd', flavour: 'rust' },
  { path: '/usr/lib/qemu/virtiofsd', flavour: 'c' },
];

export type VirtiofsdErrorCode = 'NOT_FOUND' | 'NOT_STARTED' | 'ENDED';

/** The message ends with the last lines that the program wrote. */
export class VirtiofsdError extends TskataError<VirtiofsdErrorCode> {}

export interface VirtiofsdOptions {
  /** The folder to serve. Mounts made in it later are served too. */
  readonly sharedDirectory: string;
  /** Where it is to listen. */
  readonly socketPath: string;
  /** @default the first of those that Debian installs */
  readonly program?: VirtiofsdProgram;
  /** Called when it ends by itself, never after its disposal. */
  readonly onEnd?: (failure: VirtiofsdError) => void;
  /** Longest wait until it listens, milliseconds. @default 5000 */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 5000;
const POLL_INTERVAL_MS = 2;
/** What a killed process gets to be gone, milliseconds. */
const EXIT_TIMEOUT_MS = 5000;
const KEPT_LINES = 8;

/** @throws VirtiofsdError NOT_FOUND when none is installed */
export function findVirtiofsd(): VirtiofsdProgram {
  const found = PROGRAMS.find(({ path }) => isExecutable(path));
  if (found !== undefined) return found;
  throw new VirtiofsdError(
    'NOT_FOUND',
    `virtiofsd is not installed (looked at ${PROGRAMS.map(({ path }) => path).join(', ')}): ` +
      'install the package virtiofsd (Debian 13) or qemu-system-common (Debian 12)',
  );
}

/**
 * The command line. In both programs:
 * - the sandbox is chroot: with a mount namespace of its own, virtiofsd would not see mounts made after its start, and
 *   the caller's own mount namespace separates already;
 * - extended attributes and ACLs are those of the folder, as a container in a namespace would see them;
 * - submounts are announced, so that files of different file systems do not share (device, inode) pairs in the guest;
 * - caching is `auto`: the host may change files while the guest runs.
 */
export function virtiofsdArguments(flavour: VirtiofsdFlavour, sharedDirectory: string, socketPath: string): string[] {
  switch (flavour) {
    case 'rust':
      return [
        `--socket-path=${socketPath}`,
        `--shared-dir=${sharedDirectory}`,
        '--sandbox=chroot',
        '--cache=auto',
        '--xattr',
        '--posix-acl',
        '--announce-submounts',
        '--log-level=warn',
      ];
    case 'c': {
      // A comma would begin the next option.
      const source = sharedDirectory.replaceAll(/[\\,]/g, '\\$&');
      return [
        `--socket-path=${socketPath}`,
        '-f',
        '-o',
        `source=${source},sandbox=chroot,cache=auto,xattr,posix_acl,announce_submounts,log_level=warn`,
      ];
    }
  }
}

/** A virtiofsd at work. It ends with this process, however this process ends. */
export class Virtiofsd implements AsyncDisposable {
  readonly program: VirtiofsdProgram;
  readonly #options: VirtiofsdOptions;
  readonly #child: ChildProcess;
  /** Settles once the process is gone, or was never there. */
  readonly #gone = Promise.withResolvers<void>();
  readonly #lastLines: string[] = [];
  #partialLine = '';
  #failure: VirtiofsdError | undefined;
  #isListening = false;
  #isDisposed = false;

  private constructor(options: VirtiofsdOptions) {
    this.#options = options;
    this.program = options.program ?? findVirtiofsd();
    const command = virtiofsdArguments(this.program.flavour, options.sharedDirectory, options.socketPath);
    // setpriv becomes virtiofsd: the signal at our end stays with it.
    this.#child = spawn('/usr/bin/setpriv', ['--pdeathsig', 'KILL', '--', this.program.path, ...command], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
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

  /** Starts it and waits until it listens. @throws VirtiofsdError */
  static async start(options: VirtiofsdOptions): Promise<Virtiofsd> {
    const { socketPath, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    rmSync(socketPath, { force: true });
    const virtiofsd = new Virtiofsd(options);
    try {
      const deadline = performance.now() + timeoutMs;
      while (!existsSync(socketPath)) {
        if (virtiofsd.#failure !== undefined) throw virtiofsd.#failure;
        if (performance.now() > deadline)
          throw virtiofsd.#error('NOT_STARTED', `did not listen within ${timeoutMs} ms`);
        await sleep(POLL_INTERVAL_MS);
      }
      virtiofsd.#isListening = true;
      return virtiofsd;
    } catch (error) {
      await virtiofsd[Symbol.asyncDispose]();
      throw error;
    }
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /**
   * Kills it (all that it wrote is with the kernel already), removes what it left, and waits until it is gone: as long as it
   * lives, the file systems that it serves are in use. One that the kernel does not let go, for a server that does not
   * answer, is waited for EXIT_TIMEOUT_MS and no longer.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isDisposed) this.#kill();
    const timeout = new AbortController();
    await Promise.race([
      this.#gone.promise,
      sleep(EXIT_TIMEOUT_MS, undefined, { signal: timeout.signal }).catch(() => {}),
    ]);
    timeout.abort();
  }

  #kill(): void {
    this.#isDisposed = true;
    this.#child.kill('SIGKILL');
    this.#child.stderr?.destroy();
    rmSync(this.#options.socketPath, { force: true });
    // The one in Rust keeps a lock beside its socket.
    rmSync(`${this.#options.socketPath}.pid`, { force: true });
  }

  #end(how: string): void {
    if (this.#isDisposed || this.#failure !== undefined) return;
    this.#failure = this.#error(this.#isListening ? 'ENDED' : 'NOT_STARTED', `ended (${how})`);
    if (this.#isListening) this.#options.onEnd?.(this.#failure);
  }

  #error(code: VirtiofsdErrorCode, what: string): VirtiofsdError {
    const { sharedDirectory, socketPath } = this.#options;
    const lines = [...this.#lastLines, this.#partialLine].filter((line) => line !== '');
    const said = lines.length === 0 ? 'it said nothing' : `it said last:\n${lines.join('\n')}`;
    return new VirtiofsdError(code, `${this.program.path}, serving ${sharedDirectory}, ${what}; ${said}`, {
      path: this.program.path,
      sharedDirectory,
      socketPath,
    });
  }

  #keepLines(chunk: Buffer): void {
    const lines = (this.#partialLine + chunk.toString()).split('\n');
    this.#partialLine = (lines.pop() ?? '').slice(-1000);
    this.#lastLines.push(...lines);
    this.#lastLines.splice(0, this.#lastLines.length - KEPT_LINES);
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
