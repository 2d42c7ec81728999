// `create`, and the first half of `run`: from a bundle to a container that waits for its start.
import { resolve } from 'node:path';
import { present } from '../lib/present.ts';
import { OCI_RUNTIME_SPEC_VERSION } from '../lib/version.ts';
import { namespacePath } from '../oci/guest-config.ts';
import { isOfHost } from '../oci/guest-mounts.ts';
import { namedResources } from '../oci/update-merge.ts';
import { type Bundle, readBundle } from './bundle.ts';
import type { CgroupFlags } from './cgroup-flags.ts';
import type { Checkpoint } from './checkpoint-folder.ts';
import type { HostNetworkAnswer } from './configuration.ts';
import { currentState } from './container-state.ts';
import { holdMounts } from './held-mounts.ts';
import { runHooks } from './hooks.ts';
import { SandboxCgroup } from './host-cgroup.ts';
import { checkInstallation, type Installation } from './installation.ts';
import { onInterrupt } from './interrupt.ts';
import { type Launched, launchProxy } from './launch.ts';
import { planNamespaces } from './namespaces.ts';
import type { Warn } from './operations.ts';
import { enterPod, findPod, leavePod, type Pod, running } from './pod.ts';
import { endProcess, identify } from './process-identity.ts';
import {
  checkStartOptions,
  failedToStart,
  newToken,
  proxyOptions,
  type StartOptions,
  whenBothAre,
  writePidFile,
} from './process-start.ts';
import type { HostNamespace, HostPlace } from './proxy-request.ts';
import { RuntimeError } from './runtime-error.ts';
import type { SandboxArguments } from './sandbox-arguments.ts';
import { callSandbox } from './sandbox-client.ts';
import { joinHome, type SandboxHome, startHome } from './sandbox-home.ts';
import { planHost, planSandbox, type SandboxPlan } from './sandbox-plan.ts';
import type { ContainerRecord, StateStore } from './state-store.ts';

export interface CreateOptions extends StartOptions, CgroupFlags {
  readonly id: string;
  readonly bundle: string;
  /** The configuration's file, where the caller names another than the usual one. */
  readonly configFile?: string | undefined;
  /** What it goes on from, instead of a start. */
  readonly checkpoint?: Checkpoint | undefined;
  /** Whether the guest's console goes into the sandbox's log, at the price of a slower start. */
  readonly debug: boolean;
  /** When the command was entered: CLOCK_MONOTONIC, nanoseconds. */
  readonly commandStartNs: bigint;
}

export interface CreatedContainer {
  readonly sandbox: SandboxHome;
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
  const { id, checkpoint } = options;
  const directory = store.directory(id);
  const bundle = readBundle(options.bundle);
  checkStartOptions(options, bundle.config.process);
  checkInstallation(installation);
  const pod = findPod(store, id, bundle.config);
  if (checkpoint !== undefined) checkRestore(id, checkpoint, bundle, pod);
  const namespaces = planNamespaces(bundle.config.linux?.namespaces ?? [], pod, () => running(store));
  const plan = pod ?? (await planVm(installation, bundle, options, namespaces.hasNetwork));
  const host = 'machine' in plan ? plan : await planHost(installation, options.configFile);
  const cgroupOptions = { ...options, overheadMib: host.overheadMib };
  const cgroup = await SandboxCgroup.plan(directory, id, bundle.config, cgroupOptions, warn);
  const resources = bundle.config.linux?.resources ?? {};
  const memoryMib = 'machine' in plan ? plan.machine.memoryMib : plan.vmMemoryMib;
  const token = checkpoint?.stdioToken ?? newToken();
  if ('hostNetwork' in plan && !namespaces.hasNetwork) await leaveHostNetwork(plan.hostNetwork, warn);

  store.sweep(id);
  let record = { ...newRecord(id, bundle, memoryMib), ...(pod === undefined ? {} : { sandboxId: pod.sandboxId }) };
  if (pod !== undefined) enterPod(store, id, pod.sandboxId);
  using _lock = store.create(record);
  await using undo = new AsyncDisposableStack();
  if (pod !== undefined) undo.defer(() => leavePod(store, id, pod.sandboxId));
  undo.defer(() => store.remove(id));
  undo.defer(() => cgroup.remove());
  cgroup.make(resources, memoryMib);

  const admitFirst = (pid: number): void => cgroup.admitSandbox(pid, id, resources, memoryMib);
  const sandbox =
    'machine' in plan
      ? await startHome(installation, directory, sandboxArguments(options, plan, bundle), admitFirst, undo)
      : joinHome(store, id, plan, undo);
  const interrupt = new AbortController();
  using _signals = onInterrupt(() => {
    interrupt.abort(new RuntimeError('SANDBOX_FAILED', 'the command was interrupted', { id }));
    sandbox.interrupt();
  });
  // Before the slow part: if we are killed in it, `delete --force` knows whom to end.
  record = { ...record, sandbox: sandbox.identity };
  store.write(record);

  const { process } = bundle.config;
  const request = proxyOptions(options, process, token, hostPlace(bundle, namespaces.host));
  const proxy = await launchProxy(installation, directory, request, (identity) => {
    undo.defer(async () => void (await endProcess(identity)));
    // Where the VM is in a control group of another container, the proxy is the first in this one's.
    if (pod === undefined) cgroup.admit(identity.pid);
    else admitFirst(identity.pid);
  });

  record = { ...record, init: proxy.identity, namespaces: namespaces.identities };
  // config.md, "Prestart" and "CreateRuntime Hooks": in this order, in namespaces that are there and before all that is in them.
  const state = currentState(record);
  await runHooks('prestart', record.hooks?.prestart, state, interrupt.signal);
  await runHooks('createRuntime', record.hooks?.createRuntime, state, interrupt.signal);

  interrupt.signal.throwIfAborted();
  using held = pod === undefined ? undefined : holdMounts(id, bundle);
  const call = {
    containerId: id,
    stdioToken: token,
    terminal: process.terminal === true,
    // The proxy is in it.
    networkNamespace: pod === undefined && namespaces.hasNetwork ? namespacePath('network', proxy.identity.pid) : '',
  };
  const guest =
    checkpoint === undefined
      ? callSandbox(
          directory,
          'CreateContainer',
          { ...call, bundle: bundle.directory, sharedNamespaces: namespaces.shared, heldMounts: held?.paths ?? {} },
          host.createTimeoutMs,
        )
      : callSandbox(
          directory,
          'RestoreContainer',
          { ...call, savedContainerId: checkpoint.containerId, sharedName: checkpoint.sharedName },
          host.createTimeoutMs,
        );
  const made = Promise.race([guest, rejection(interrupt.signal)]).catch(failedToStart(id));
  await whenBothAre(proxy.ready, made);
  store.write({ ...record, phase: 'created' });
  if (options.pidFile !== undefined) writePidFile(options.pidFile, proxy.identity.pid);
  await sandbox.commit();
  undo.move();
  return { sandbox, proxy };
}

/** @throws RuntimeError INVALID_NAMESPACE unless somebody has said that no network is as good */
async function leaveHostNetwork(answer: HostNetworkAnswer, warn: Warn): Promise<void> {
  const reason = "the container asks for the host's network namespace, in which a virtual machine cannot be";
  if (answer === 'none') return await warn(`${reason}: it has no network`);
  const remedy = 'give it another network, or none; or set host_network = "none" in the configuration of tskata';
  throw new RuntimeError('INVALID_NAMESPACE', `${reason}: ${remedy}`);
}

/** The VM as it is to be, or as it was. */
async function planVm(
  installation: Installation,
  { config }: Bundle,
  { configFile, checkpoint }: CreateOptions,
  hasNetwork: boolean,
): Promise<SandboxPlan> {
  const plan = await planSandbox(installation, config, configFile);
  const saved =
    checkpoint === undefined
      ? present({ networkCards: hasNetwork ? undefined : 0 })
      : { memoryMib: checkpoint.vmMemoryMib, networkCards: checkpoint.networkCards };
  return { ...plan, machine: { ...plan.machine, ...saved } };
}

function sandboxArguments(
  { id, debug, commandStartNs, checkpoint }: CreateOptions,
  plan: SandboxPlan,
  { directory }: Bundle,
): SandboxArguments {
  const saved = checkpoint && {
    snapshot: checkpoint.snapshot,
    sharedName: checkpoint.sharedName,
    bundle: directory,
  };
  return {
    id,
    machine: plan.machine,
    ...present({ saved }),
    console: debug || plan.debug,
    dialTimeoutMs: plan.dialTimeoutMs,
    commandStartNs,
  };
}

/** @throws RuntimeError UNSUPPORTED, INVALID_CHECKPOINT */
function checkRestore(id: string, { terminal }: Checkpoint, { config }: Bundle, pod: Pod | undefined): void {
  if (pod !== undefined) {
    const message = `cannot restore container ${id}: it would share the virtual machine of ${pod.sandboxId}, and a checkpoint has one of its own`;
    throw new RuntimeError('UNSUPPORTED', message, { id });
  }
  if (terminal === (config.process.terminal === true)) return;
  const message = `cannot restore container ${id}: its process had ${terminal ? 'a' : 'no'} terminal when it was saved, and process.terminal of config.json says otherwise`;
  throw new RuntimeError('INVALID_CHECKPOINT', message, { id });
}

/** Where those look for the container who know its pid only: in its root file system, with what it sees there of the host. */
function hostPlace({ directory, config, rootfs }: Bundle, namespaces: readonly HostNamespace[]): HostPlace {
  return {
    namespaces,
    rootfs,
    readOnly: config.root.readonly === true,
    volumes: (config.mounts ?? []).filter(isOfHost).map(({ source = '', destination, options = [] }) => ({
      source: resolve(directory, source),
      target: destination,
      readOnly: options.includes('ro'),
      recursive: options.includes('rbind'),
    })),
  };
}

/** Rejects with the reason of an interrupt. */
function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
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
