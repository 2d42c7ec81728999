// `update`: changes limits of a container that is there, in its guest and on the host.
import { messageOf } from '../lib/errors.ts';
import { resourcesForGuest } from '../oci/resources.ts';
import { effectiveUpdate, mergeResources, namedResources, type Resources, undoOf } from '../oci/update-merge.ts';
import { callAgent } from './agent-call.ts';
import { currentStatus } from './container-state.ts';
import { SandboxCgroup } from './host-cgroup.ts';
import type { Warn } from './operations.ts';
import { RuntimeError } from './runtime-error.ts';
import type { StateStore } from './state-store.ts';

/**
 * Changes what `change` names of linux.resources; all else stays as it is. All or nothing: when a part cannot be done, those that
 * were done are taken back.
 * @param change checked
 * @throws RuntimeError NOT_FOUND, NOT_RUNNING; UpdateError; StatusError
 */
export async function updateContainer(store: StateStore, id: string, change: Resources, warn: Warn): Promise<void> {
  using _lock = store.lock(id);
  const record = store.read(id);
  const status = currentStatus(record);
  if (status === 'stopped' || status === 'creating') {
    throw new RuntimeError('NOT_RUNNING', 'container not running', { id, status });
  }
  const named = namedResources(change);
  if (Object.keys(named).length === 0) return;
  const { resources: kept, vmMemoryMib } = record;
  const update = effectiveUpdate(kept, named);
  await using undo = new AsyncDisposableStack();

  const takeBack = (where: string, action: () => Promise<unknown>): void =>
    undo.defer(async () => {
      await action().catch((error: unknown) =>
        warn(`${where} keeps limits that were to be taken back: ${messageOf(error)}`),
      );
    });
  const warnings = await updateGuest(store, id, update);
  takeBack('the guest', () => updateGuest(store, id, undoOf(kept, update)));
  const cgroup = SandboxCgroup.read(store.directory(id));
  cgroup?.limit(update, vmMemoryMib);
  takeBack('the control group of the sandbox', async () => cgroup?.limit(undoOf(kept, update), vmMemoryMib));
  store.write({ ...record, resources: mergeResources(kept, update) });
  undo.move();
  for (const warning of warnings) await warn(warning);
}

/** @returns what the guest takes without enforcing it */
async function updateGuest(store: StateStore, id: string, update: Resources): Promise<readonly string[]> {
  const ociResourcesJson = JSON.stringify(resourcesForGuest(update));
  return await callAgent(store.directory(id), async (agent) => {
    const { warnings } = await agent.call('UpdateContainer', { containerId: id, ociResourcesJson });
    return warnings;
  });
}
