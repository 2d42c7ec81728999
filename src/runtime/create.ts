// `create`, and the first half of `run`: from a bundle to a container that waits for its start.
import { randomBytes } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { messageOf } from '../lib/errors.ts';
import { OCI_RUNTIME_SPEC_VERSION } from '../lib/version.ts';
import { SIGKILL } from '../oci/signals.ts';
import { type Bundle, readBundle } from './bundle.ts';
import { currentState } from './container-state.ts';
import { runHooks } from './hooks.ts';
import { checkInstallation, type Installation } from './installation.ts';
import { endInput, type Launched, launchProxy, launchSandbox, type ProxyOptions } from './launch.ts';
import { identify, type ProcessIdentity, signalIdentity, waitForEnd } from './process-identity.ts';
import { RuntimeError } from './runtime-error.ts';
import { COMMIT_LINE } from './sandbox-arguments.ts';
import { callSandbox } from './sandbox-client.ts';
import type { ContainerRecord, StateStore } from './state-store.ts';

export interface CreateOptions {
  readonly id: string;
  readonly bundle: string;
  /** Whether the caller goes away before the container does: then a terminal needs somebody else to hold its master. */
  readonly detach: boolean;
  readonly consoleSocket?: string | undefined;
  readonly pidfdSocket?: string | undefined;
  readonly pidFile?: string | undefined;
  readonly preserveFds: number;
  /** Whether the guest's console goes into the sandbox's log, at the price of a slower start. */
  readonly debug: boolean;
  /** When the command was entered: CLOCK_MONOTONIC, nanoseconds. */
  readonly commandStartNs: bigint;
}

export interface CreatedContainer {
  readonly sandbox: Launched;
  readonly proxy: Launched;
}

/** What a VM gets that asks for nothing. */
const DEFAULT_MEMORY_MIB = 512;
const DEFAULT_CPUS = 1;
/** Longer than each of the deadlines that the sandbox itself has for the steps of a creation. */
const CREATE_MS = 240_000;
/** How long the kernel may take to end what was killed. */
const KILL_MS = 10_000;
/** How soon after a proxy's failure the sandbox's own would be known. */
const SECOND_FAILURE_MS = 200;
/** 32 hexadecimal digits are the least that the agent takes. */
const TOKEN_BYTES = 32;

/**
 * Makes a container. Whatever fails, nothing of it stays.
 * @throws RuntimeError, ConfigError, StatusError
 */
export async function createContainer(
  store: StateStore,
  installation: Installation,
  options: CreateOptions,
): Promise<CreatedContainer> {
  const { id } = options;
  const directory = store.directory(id);
  const bundle = readBundle(options.bundle);
  checkOptions(options, bundle);
  checkInstallation(installation);
  const token = randomBytes(TOKEN_BYTES).toString('hex');

  store.sweep(id);
  let record = newRecord(id, bundle);
  using _lock = store.create(record);
  await using undo = new AsyncDisposableStack();
  undo.defer(() => store.remove(id));

  const sandbox = await launchSandbox(installation, directory, {
    id,
    kernelPath: installation.kernel,
    initrdPath: installation.initramfs,
    memoryMib: DEFAULT_MEMORY_MIB,
    cpus: DEFAULT_CPUS,
    console: options.debug,
    commandStartNs: options.commandStartNs,
  });
  undo.defer(() => killAndWait(sandbox.identity));
  const interrupt = new AbortController();
  using _signals = onInterrupt(() => {
    interrupt.abort();
    signalIdentity(sandbox.identity, SIGKILL);
  });
  // Before the slow part: if we are killed in it, `delete --force` knows whom to end.
  record = { ...record, sandbox: sandbox.identity };
  store.write(record);

  const terminal = bundle.config.process.terminal === true;
  const call = { containerId: id, bundle: bundle.directory, stdioToken: token, terminal };
  const made = callSandbox(directory, 'CreateContainer', call, CREATE_MS).catch((cause: unknown) => {
    throw new RuntimeError(
      'SANDBOX_FAILED',
      `unable to start container process: ${messageOf(cause)}`,
      { id },
      { cause },
    );
  });
  const attached = launchProxy(installation, directory, proxyOptions(options, bundle, token), (identity) => {
    undo.defer(() => killAndWait(identity));
  });
  const [proxy] = await Promise.all([attached, made]).catch(async (error: unknown) => {
    // When both fail, the sandbox knows why, and says so at once.
    throw (
      (await Promise.race([
        made.then(
          () => undefined,
          (reason: unknown) => reason,
        ),
        delay(SECOND_FAILURE_MS),
      ])) ?? error
    );
  });

  record = { ...record, init: proxy.identity };
  // config.md, "Prestart" and "CreateRuntime Hooks": in this order, when the environment is there and the program has not run.
  const state = currentState(record);
  await runHooks('prestart', record.hooks?.prestart, state, interrupt.signal);
  await runHooks('createRuntime', record.hooks?.createRuntime, state, interrupt.signal);
  store.write({ ...record, phase: 'created' });
  if (options.pidFile !== undefined) writePidFile(options.pidFile, proxy.identity.pid);
  await endInput(sandbox.child, COMMIT_LINE);
  undo.move();
  return { sandbox, proxy };
}

/** Signals with which a person or a service manager ends a command. (Not SIGHUP: a handler would undo nohup(1).) */
const INTERRUPTS = ['SIGINT', 'SIGTERM'] as const;

/** Makes of an interrupt a failure like any other, after which nothing stays: by default it would end us on the spot. */
function onInterrupt(action: () => void): Disposable {
  for (const signal of INTERRUPTS) process.on(signal, action);
  return {
    [Symbol.dispose]() {
      for (const signal of INTERRUPTS) process.off(signal, action);
    },
  };
}

function newRecord(id: string, { directory, config, rootfs }: Bundle): ContainerRecord {
  const creator = identify(process.pid);
  if (creator === undefined) throw new RuntimeError('STATE_DAMAGED', '/proc does not show this process: mount it');
  return {
    ociVersion: OCI_RUNTIME_SPEC_VERSION,
    id,
    bundle: directory,
    rootfs,
    created: new Date().toISOString(),
    uid: process.getuid?.() ?? 0,
    ...(config.annotations === undefined ? {} : { annotations: config.annotations }),
    ...(config.hooks ? { hooks: config.hooks } : {}),
    phase: 'creating',
    creator,
  };
}

/** What a caller may ask in runc's words, checked in runc's order. */
function checkOptions(options: CreateOptions, { config }: Bundle): void {
  const unsupported = (message: string): RuntimeError => new RuntimeError('UNSUPPORTED', message);
  const terminal = config.process.terminal === true;
  if (options.detach && terminal && options.consoleSocket === undefined) {
    throw unsupported('cannot allocate tty if tskata will detach without setting console socket');
  }
  if ((!options.detach || !terminal) && options.consoleSocket !== undefined) {
    throw unsupported('cannot use console socket if tskata will not detach or allocate tty');
  }
  if (options.preserveFds > 0) {
    throw unsupported(
      `cannot preserve ${options.preserveFds} file descriptors: they cannot be passed into a virtual machine`,
    );
  }
}

function proxyOptions(options: CreateOptions, { config }: Bundle, token: string): ProxyOptions {
  const { consoleSocket, pidfdSocket } = options;
  const { terminal, consoleSize } = config.process;
  return {
    token,
    terminal:
      terminal !== true ? 'none' : consoleSocket === undefined ? 'own' : { consoleSocket: resolve(consoleSocket) },
    ...(consoleSize ? { consoleSize } : {}),
    ...(pidfdSocket === undefined ? {} : { pidfdSocket: resolve(pidfdSocket) }),
  };
}

/** By rename, as runc does: a caller that waits for the file finds it whole. */
function writePidFile(path: string, pid: number): void {
  const scratch = join(dirname(path), `.${basename(path)}`);
  writeFileSync(scratch, String(pid));
  renameSync(scratch, path);
}

function delay(timeMs: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(resolve, timeMs, undefined));
}

async function killAndWait(identity: ProcessIdentity): Promise<void> {
  signalIdentity(identity, SIGKILL);
  await waitForEnd(identity, KILL_MS);
}
