// Runs commands as root on a host whose KVM can run Linux: this machine if it can, else the emulated host.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { join, relative } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HostRelease } from '../../images/host/build.ts';
import { HostError } from './host-error.ts';
import { EmulatedHost, HOST_PATH, type MachineSize, type Streams } from './host-machine.ts';
import type { WindowSize } from './host-protocol.ts';
import { boundToParent } from './host-share.ts';
import { buildDirectory, cacheDirectory, callerDirectory, projectDirectory } from './paths.ts';

export type HostKind = 'native' | 'emulated';

/** The host that commands run on, and why that one. */
export interface HostChoice {
  readonly kind: HostKind;
  readonly reason: string;
}

/**
 * One processor: with several, one may go on with instructions that another has just patched (static keys, in the host and in
 * its guests), which ended in "Oops: int3" once in a few hundred starts of containers. For these it is as fast as two.
 */
export const DEFAULT_SIZE: MachineSize = { memoryMib: 4096, cpus: 1 };

/** Exit status of a command that ran out of time, as timeout(1) has it. */
export const STATUS_TIMEOUT = 124;

const CHECK_TIMEOUT_MS = 30_000;

/** How long a killed command may take to be gone. */
const KILL_GRACE_MS = 2000;

/** Variables that a command in the emulated host gets from here. */
const PASSED_ON = /^(TERM|COLORTERM|NO_COLOR|FORCE_COLOR|CI|LANG|LC_\w+|TZ|RUNTIME|TSKATA_\w+)$/;

/** A command and all that it runs with. */
export interface HostCommand {
  /** Program (looked up on PATH) and arguments, passed on as they are. */
  readonly command: readonly string[];
  /** Folder to run in; if absent the caller's one when it lies in the project, else the project. */
  readonly folder?: string;
  /** Variables on top of the host's own. */
  readonly environment?: Readonly<Record<string, string>>;
  /** This process's own when absent; `none` is an empty input. */
  readonly stdin?: Readable | 'none';
  /** This process's own when absent. */
  readonly stdout?: Writable;
  /** This process's own when absent. */
  readonly stderr?: Writable;
  /** The command is killed after this time, and the status is 124. */
  readonly timeoutMs?: number;
  /** Kills the command; the status is 128 + the number of the signal that the abort reason names, or 137. */
  readonly signal?: AbortSignal;
  /** Which host, if not the one that `chooseHost` gives. */
  readonly kind?: HostKind;
  /** Size of the emulated host. */
  readonly size?: MachineSize;
  /** Debian release of the emulated host. @default trixie */
  readonly release?: HostRelease;
}

let choice: Promise<HostChoice> | undefined;

/** Finds out, once per process, which host commands run on. */
export function chooseHost(): Promise<HostChoice> {
  choice ??= askTsvm();
  return choice;
}

/** One line that tells a person which host is used and why. */
export function describeHost({ kind, reason }: HostChoice): string {
  return `${kind === 'native' ? 'running on this machine' : 'running on the emulated host'}: ${reason}`;
}

async function askTsvm(): Promise<HostChoice> {
  if (process.env['TSKATA_INSIDE_HOST'] === '1') return { kind: 'native', reason: 'this is the emulated host' };
  const tsvm = join(buildDirectory, 'bin/tsvm');
  if (!existsSync(tsvm)) return { kind: 'emulated', reason: 'tsvm is not built, so nothing is known of the KVM here' };
  const child = spawn(tsvm, ['check', '--json'], { stdio: ['ignore', 'pipe', 'ignore'], timeout: CHECK_TIMEOUT_MS });
  child.on('error', () => {}); // no output then
  let output = '';
  for await (const chunk of child.stdout) output += chunk;
  return choiceFromCheck(output);
}

/** Reads what `tsvm check --json` printed: verdict (`ok` or what is wrong) and reason. */
export function choiceFromCheck(output: string): HostChoice {
  let answer: { verdict?: unknown; reason?: unknown } | null = null;
  try {
    answer = JSON.parse(output);
  } catch {
    // told below
  }
  if (answer === null) return { kind: 'emulated', reason: '`tsvm check --json` gave no answer' };
  const { verdict, reason } = answer;
  return { kind: verdict === 'ok' ? 'native' : 'emulated', reason: String(reason ?? verdict) };
}

/**
 * Runs a command to its end.
 * @returns its exit status; 128 + signal number when a signal ended it; 124 when its time was up
 * @throws HostError when there is no host to run it on, or the host died under it
 */
export async function runOnHost(options: HostCommand): Promise<number> {
  const kind = options.kind ?? (await chooseHost()).kind;
  if (kind === 'native') return await runNative(options);
  await using host = await EmulatedHost.start(options.size ?? DEFAULT_SIZE, options.release);
  return await runEmulated(host, options);
}

/** Runs a command on an emulated host that is up already; `kind`, `size` and `release` are not looked at. */
export async function runEmulated(host: EmulatedHost, options: HostCommand, terminal?: WindowSize): Promise<number> {
  const streams = ownStreams(options);
  const request = {
    command: options.command,
    folder: folderInside(options.folder ?? callerDirectory),
    environment: { ...hostEnvironment(process.env), ...options.environment },
    ...(terminal === undefined ? {} : { terminal }),
  };
  return await endEarly(
    options,
    (number) => host.signal(number),
    streams,
    () => host.run(request, streams),
  );
}

async function runNative(options: HostCommand): Promise<number> {
  if (process.getuid?.() !== 0) throw new HostError('need-root', 'commands run on the host as root: use sudo');
  const streams = ownStreams(options);
  const [program, args] = boundToParent(options.command);
  const terminal = streams.stdin === process.stdin && process.stdin.isTTY === true;
  const child = spawn(program, args, {
    cwd: folderInside(options.folder ?? callerDirectory),
    env: {
      ...process.env,
      PATH: `${join(buildDirectory, 'bin')}:${process.env['PATH'] ?? HOST_PATH}`,
      ...options.environment,
    },
    stdio: [
      streams.stdin === undefined ? 'ignore' : streams.stdin === process.stdin ? 'inherit' : 'pipe',
      streams.stdout === process.stdout ? 'inherit' : 'pipe',
      streams.stderr === process.stderr ? 'inherit' : 'pipe',
    ],
    detached: !terminal, // a process group of its own to kill; on a terminal it has to stay in the foreground group
  });
  if (child.stdin !== null && streams.stdin !== undefined) pipeline(streams.stdin, child.stdin).catch(() => {});
  if (streams.stdout !== undefined) child.stdout?.pipe(streams.stdout, { end: false });
  if (streams.stderr !== undefined) child.stderr?.pipe(streams.stderr, { end: false });
  const kill = (number: number): void => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    process.kill(terminal ? child.pid : -child.pid, number);
  };
  return await endEarly(options, kill, streams, async () => {
    const [status, signal] = await once(child, 'close');
    return signal === null ? status : 128 + constants.signals[signal as NodeJS.Signals];
  });
}

/** Runs `action`, and kills its command when its time is up, when the caller aborts, or when nobody reads its output. */
async function endEarly(
  options: HostCommand,
  kill: (signalNumber: number) => void,
  streams: Streams,
  action: () => Promise<number>,
): Promise<number> {
  const { SIGKILL, SIGPIPE } = constants.signals;
  const early = Promise.withResolvers<number>();
  const end = (status: number): void => {
    kill(SIGKILL);
    early.resolve(status);
  };
  const timer = options.timeoutMs === undefined ? undefined : setTimeout(() => end(STATUS_TIMEOUT), options.timeoutMs);
  const onAbort = (): void => {
    const name = options.signal?.reason as keyof typeof constants.signals;
    end(128 + (constants.signals[name] ?? SIGKILL));
  };
  const onBroken = (): void => end(128 + SIGPIPE);
  options.signal?.addEventListener('abort', onAbort);
  for (const stream of [streams.stdout, streams.stderr]) stream?.on('error', onBroken);
  try {
    if (options.signal?.aborted === true) onAbort();
    const status = action();
    const first = await Promise.race([early.promise, status]);
    const settled = status.then(
      () => {},
      () => {}, // has ended, in whatever way; if by itself, the line above has thrown
    );
    await Promise.race([settled, sleep(KILL_GRACE_MS, undefined, { ref: false })]);
    return first;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
    for (const stream of [streams.stdout, streams.stderr]) stream?.off('error', onBroken);
  }
}

function ownStreams(options: HostCommand): Streams {
  return {
    stdin: options.stdin === 'none' ? undefined : (options.stdin ?? process.stdin),
    stdout: options.stdout ?? process.stdout,
    stderr: options.stderr ?? process.stderr,
  };
}

/** A folder that the emulated host has too: this one when it lies in the project, else the project. */
export function folderInside(folder: string): string {
  const path = relative(projectDirectory, folder);
  return path === '..' || path.startsWith('../') ? projectDirectory : folder;
}

/** What a command in the emulated host finds in its environment. */
export function hostEnvironment(outside: NodeJS.ProcessEnv): Record<string, string> {
  const passed = Object.entries(outside).filter((entry): entry is [string, string] => PASSED_ON.test(entry[0]));
  return {
    ...Object.fromEntries(passed),
    PATH: HOST_PATH,
    HOME: '/root',
    TSKATA_CACHE: cacheDirectory,
    TSKATA_INSIDE_HOST: '1',
  };
}
