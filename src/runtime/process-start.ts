// What `create`, `run` and `exec` have in common: a process in the guest, and the proxy on the host that stands for it.
import { renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { randomHex } from '../host/random.ts';
import { messageOf } from '../lib/errors.ts';
import type { Process } from '../oci/config.ts';
import { type ProxyOptions, proxyCommandLine } from './proxy-request.ts';
import { RuntimeError } from './runtime-error.ts';

/** What a caller says of the process that is to be started. */
export interface StartOptions {
  /** Whether the caller goes away before the process does: then a terminal needs somebody else to hold its master. */
  readonly detach: boolean;
  readonly consoleSocket?: string | undefined;
  readonly pidfdSocket?: string | undefined;
  readonly pidFile?: string | undefined;
  readonly preserveFds: number;
}

/** 32 hexadecimal digits are the least that the agent takes. */
const TOKEN_BYTES = 32;
/** How soon after a proxy's failure the sandbox's own would be known. */
const SECOND_FAILURE_MS = 200;

/** An unguessable name for the streams of a process. */
export function newToken(): string {
  return randomHex(TOKEN_BYTES);
}

/** What a caller may ask in runc's words, checked in runc's order. @throws RuntimeError UNSUPPORTED */
export function checkStartOptions(options: StartOptions, { terminal }: Process): void {
  const unsupported = (message: string): RuntimeError => new RuntimeError('UNSUPPORTED', message);
  if (options.detach && terminal === true && options.consoleSocket === undefined) {
    throw unsupported('cannot allocate tty if tskata will detach without setting console socket');
  }
  if ((!options.detach || terminal !== true) && options.consoleSocket !== undefined) {
    throw unsupported('cannot use console socket if tskata will not detach or allocate tty');
  }
  if (options.preserveFds > 0) {
    throw unsupported(
      `cannot preserve ${options.preserveFds} file descriptors: they cannot be passed into a virtual machine`,
    );
  }
}

/**
 * Waits until a process and its proxy have found each other.
 * @param attached settles when the proxy is ready
 * @param made the sandbox's answer to the call for the process
 * @throws RuntimeError PROXY_FAILED; what `made` rejects with
 */
export async function whenBothAre<Proxy>(attached: Promise<Proxy>, made: Promise<unknown>): Promise<Proxy> {
  const [proxy] = await Promise.all([attached, made]).catch(async (error: unknown) => {
    // When both fail, the sandbox knows why, and says so at once.
    throw (await Promise.race([failureOf(made), delay(SECOND_FAILURE_MS)])) ?? error;
  });
  return proxy;
}

export function proxyOptions(
  { id, consoleSocket, pidfdSocket }: StartOptions & { readonly id: string },
  { terminal, consoleSize, args }: Process,
  token: string,
  place: ProxyOptions['place'],
): ProxyOptions {
  return {
    token,
    terminal:
      terminal !== true ? 'none' : consoleSocket === undefined ? 'own' : { consoleSocket: resolve(consoleSocket) },
    ...(consoleSize ? { consoleSize } : {}),
    ...(pidfdSocket === undefined ? {} : { pidfdSocket: resolve(pidfdSocket) }),
    place,
    commandLine: proxyCommandLine(args, id),
  };
}

/** runc's words for what went wrong before the program ran. */
export function failedToStart(id: string): (cause: unknown) => never {
  return (cause) => {
    const message = `unable to start container process: ${messageOf(cause)}`;
    throw new RuntimeError('SANDBOX_FAILED', message, { id }, { cause });
  };
}

/** By rename, as runc does: a caller that waits for the file finds it whole. */
export function writePidFile(path: string, pid: number): void {
  const scratch = join(dirname(path), `.${basename(path)}`);
  writeFileSync(scratch, String(pid));
  renameSync(scratch, path);
}

function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
}

function delay(timeMs: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(resolve, timeMs, undefined));
}
