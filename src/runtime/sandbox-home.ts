// The VM that a container is put into: one that is started for it, or that of its pod.
import { SIGKILL } from '../oci/signals.ts';
import type { Installation } from './installation.ts';
import { endInput, launchSandbox, letGo } from './launch.ts';
import { linkSockets, type Pod } from './pod.ts';
import { endProcess, type ProcessIdentity, signalIdentity } from './process-identity.ts';
import { COMMIT_LINE, type SandboxArguments } from './sandbox-arguments.ts';
import { callSandbox, ignoreLostSandbox } from './sandbox-client.ts';
import type { StateStore } from './state-store.ts';

export interface SandboxHome {
  readonly identity: ProcessIdentity;
  /** The container whose VM it is, if it was made for another one. */
  readonly sandboxId?: string;
  /** Ends at once what waits for the sandbox. */
  readonly interrupt: () => void;
  /** From now on the container stays, whatever becomes of this process. */
  readonly commit: () => Promise<void>;
  /** Lets this process end before the sandbox does. */
  readonly letGo: () => void;
}

/** Starts a VM, which ends if `undo` is done. @throws RuntimeError SANDBOX_FAILED; CgroupError */
export async function startHome(
  installation: Installation,
  directory: string,
  options: SandboxArguments,
  admit: (pid: number) => void,
  undo: AsyncDisposableStack,
): Promise<SandboxHome> {
  const sandbox = await launchSandbox(installation, directory, options, admit);
  undo.defer(async () => void (await endProcess(sandbox.identity)));
  return {
    identity: sandbox.identity,
    interrupt: () => void signalIdentity(sandbox.identity, SIGKILL),
    commit: () => endInput(sandbox.child, COMMIT_LINE),
    letGo: () => letGo(sandbox),
  };
}

/** How long it may take to undo a container in a VM that stays, milliseconds. */
const UNDO_MS = 30_000;

/** Takes the VM of a pod, in which nothing stays of the container if `undo` is done. */
export function joinHome(store: StateStore, id: string, pod: Pod, undo: AsyncDisposableStack): SandboxHome {
  const { sandboxId, sandbox } = pod;
  linkSockets(store, id, sandboxId);
  undo.defer(async () => {
    await callSandbox(store.directory(id), 'DeleteContainer', { containerId: id, force: true }, UNDO_MS).catch(
      ignoreLostSandbox,
    );
  });
  return { identity: sandbox, sandboxId, interrupt: () => {}, commit: async () => {}, letGo: () => {} };
}
