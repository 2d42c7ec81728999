// `create`, and the first half of `run`: from a bundle to a container that waits for its start.
import { OCI_RUNTIME_SPEC_VERSION } from '../lib/version.ts';
import { SIGKILL } from '../oci/signals.ts';
import { namedResources } from '../oci/update-merge.ts';
import { type Bundle, readBundle } from './bundle.ts';
import type { CgroupFlags } from './cgroup-flags.ts';
import { currentState } from './container-state.ts';
import { runHooks } from './hooks.ts';
import { SandboxCgroup } from './host-cgroup.ts';
import { checkInstallation, type Installation } from './installation.ts';
import { endInput, type Launched, launchSandbox } from './launch.ts';
import type { Warn } from './operations.ts';
import { endProcess, identify, signalIdentity } from './process-identity.ts';
import {
  checkStartOptions,
  failedToStart,
  newToken,
  proxyOptions,
  type StartOptions,
  startProxy,
  writePidFile,
} from './process-start.ts';
import { RuntimeError } from './runtime-error.ts';
import { COMMIT_LINE } from './sandbox-arguments.ts';
import { callSandbox } from './sandbox-client.ts';
import { planSandbox } from './sandbox-plan.ts';
import type { ContainerRecord, StateStore } from './state-store.ts';

export interface CreateOptions extends StartOptions, CgroupFlags {
  readonly id: string;
  readonly bundle: string;
  /** The configuration's file, where the caller names another than the usual one. */
  readonly configFile?: string | undefined;
  /** Whether the guest's console goes into the sandbox's log, at the price of a slower start. */
  readonly debug: boolean;
  /** When the command was entered: CLOCK_MONOTONIC, nanoseconds. */
  readonly commandStartNs: bigint;
}

export interface CreatedContainer {
  readonly sandbox: Launched;
  readonly proxy: Launched;
}

/**
 * Makes a container. Whatever fails, nothing of it stays.
 * @throws RuntimeError, ConfigError, StatusError
 */
export async function createContainer(
  store: StateStore,
  installation: Installation,
  options: CreateOptions,
  warn: Warn,
): Promise<CreatedContainer> {
  const { id } = options;
  const directory = store.directory(id);
  const bundle = readBundle(options.bundle);
  checkStartOptions(options, bundle.config.process);
  checkInstallation(installation);
  const plan = await planSandbox(installation, bundle.config, options.configFile);
  const cgroupOptions = { ...options, overheadMib: plan.overheadMib };
  const cgroup = await SandboxCgroup.plan(directory, id, bundle.config, cgroupOptions, warn);
  const resources = bundle.config.linux?.resources ?? {};
  const { memoryMib } = plan.machine;
  const token = newToken();

  store.sweep(id);
  let record = newRecord(id, bundle, memoryMib);
  using _lock = store.create(record);
  await using undo = new AsyncDisposableStack();
  undo.defer(() => store.remove(id));
  undo.defer(() => cgroup.remove());
  cgroup.make(resources, memoryMib);

  const sandboxArguments = {
    id,
    machine: plan.machine,
    console: options.debug || plan.debug,
    dialTimeoutMs: plan.dialTimeoutMs,
    commandStartNs: options.commandStartNs,
  };
  const sandbox = await launchSandbox(installation, directory, sandboxArguments, (pid) =>
    cgroup.admitSandbox(pid, id, resources, memoryMib),
  );
  undo.defer(async () => void (await endProcess(sandbox.identity)));
  const interrupt = new AbortController();
  using _signals = onInterrupt(() => {
    interrupt.abort();
    signalIdentity(sandbox.identity, SIGKILL);
  });
  // Before the slow part: if we are killed in it, `delete --force` knows whom to end.
  record = { ...record, sandbox: sandbox.identity };
  store.write(record);

  const { process } = bundle.config;
  const call = { containerId: id, bundle: bundle.directory, stdioToken: token, terminal: process.terminal === true };
  const made = callSandbox(directory, 'CreateContainer', call, plan.createTimeoutMs).catch(failedToStart(id));
  const proxy = await startProxy(installation, directory, proxyOptions(options, process, token), made, (identity) => {
    undo.defer(async () => void (await endProcess(identity)));
    cgroup.admit(identity.pid);
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

function newRecord(id: string, { directory, config, rootfs }: Bundle, vmMemoryMib: number): ContainerRecord {
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
    resources: namedResources(config.linux?.resources ?? {}),
    vmMemoryMib,
    phase: 'creating',
    creator,
  };
}
