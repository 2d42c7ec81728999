// Starts the processes that outlive a verb, and waits until they say that they are ready.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
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

/** A process that was started and is ready. */
export interface Launched {
  readonly identity: ProcessIdentity;
  readonly child: ChildProcess;
}

/** What long-lived children see of our environment: nothing of the caller's. */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };

/**
 * Starts the sandbox process, in a session and a mount namespace of its own: what it mounts goes when it ends, however it
 * ends. Its standard input is the lifeline: see COMMIT_LINE.
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
    const child = spawn(UNSHARE, ['--mount', '--propagation', 'slave', '--', ...program], {
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
    return await whenReady(child, (why) => {
      const lines = readFileSync(logPath, 'utf8').trim().split('\n').slice(-5).join('\n');
      const message = `cannot start the sandbox process: ${why}${why.startsWith('it ended') ? `\n${lines}` : ''}`;
      return new RuntimeError('SANDBOX_FAILED', message, { path: logPath });
    });
  } finally {
    closeSync(log);
  }
}

/**
 * Starts a proxy with our own standard streams, in a session of its own. It is ready once the guest's streams are connected.
 * @param onSpawn told of it before it does anything
 * @throws RuntimeError PROXY_FAILED
 */
export async function launchProxy(
  installation: Installation,
  directory: string,
  options: ProxyOptions,
  onSpawn: (identity: ProcessIdentity) => void,
): Promise<Launched> {
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
  return await whenReady(child, (why) => new RuntimeError('PROXY_FAILED', why, { path: installation.proxy }));
}

/** @param failure makes the error, from why it did not get ready */
async function whenReady(child: ChildProcess, failure: (why: string) => RuntimeError): Promise<Launched> {
  const pipe = child.stdio[READY_FD] as Readable;
  const line = await new Promise<string>((resolve) => {
    let text = '';
    pipe.setEncoding('utf8');
    pipe.on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
    pipe.on('error', () => {});
    child.on('error', (error) => resolve(`ERROR ${error.message}`));
    // Not 'exit': that may come before what it wrote has been read, and it may come after the pipe has closed.
    child.on('close', (status, signal) => resolve(`ERROR it ended with ${signal ?? `status ${status}`}`));
  });
  pipe.destroy();
  const identity = child.pid === undefined ? undefined : identify(child.pid);
  if (line === 'READY' && identity !== undefined) return { identity, child };
  throw failure(line.replace(/^ERROR /, ''));
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
