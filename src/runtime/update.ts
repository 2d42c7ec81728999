// `update`: changes limits of a container that is there, in its guest and on the host.
import { messageOf } from '../lib/errors.ts';
import { resourcesForGuest } from '../oci/resources.ts';
import { hasInit } from '../oci/status.ts';
import { effectiveUpdate, mergeResources, namedResources, type Resources, undoOf } from '../oci/update-merge.ts';
import { callAgent } from './agent-call.ts';
import { currentStatus } from './container-state.ts';
import { SandboxCgroup } from './host-cgroup.ts';
import type { Warn } from './operations.ts';
import { RuntimeError } from './runtime-error.ts';
import type { StateStore } from './state-store.ts';
import {
  type ConfigurationSource,
  largerOf,
  resizeVm,
  sameSize,
  shortfalls,
  sizesForUpdate,
  smallerOf,
} from './update-size.ts';

/**
 * Changes what `change` names of linux.resources; all else stays as it is. All or nothing: when a part cannot be done, those that
 * were done are taken back. A VM of the container's own grows and shrinks with its limits.
 * @param change checked
 * @throws RuntimeError NOT_FOUND, NOT_RUNNING, INVALID_CONFIGURATION; UpdateError; StatusError; CgroupError
 */
export async function updateContainer(
  store: StateStore,
  source: ConfigurationSource,
  id: string,
  change: Resources,
  warn: Warn,
): Promise<void> {
  using _lock = store.lock(id);
  const record = store.read(id);
  const status = currentStatus(record);
  if (!hasInit(status)) {
    throw new RuntimeError('NOT_RUNNING', 'container not running', { id, status });
  }
  const named = namedResources(change);
  if (Object.keys(named).length === 0) return;
  const { resources: kept } = record;
  const update = effectiveUpdate(kept, named);
  const updated = { ...record, resources: mergeResources(kept, update) };
  const directory = store.directory(id);
  // In the VM of a pod there are others, whose limits are not known here.
  const isOwnVm = record.sandboxId === undefined;
  const sizes = isOwnVm ? await sizesForUpdate(source, record, update, updated.resources) : sameSize(record);
  const cgroup = SandboxCgroup.read(directory);
  let size = sizes.before;
  await using undo = new AsyncDisposableStack();
  const takeBack = (where: string, action: () => Promise<unknown>): void =>
    undo.defer(async () => {
      await action().catch((error: unknown) =>
        warn(`${where} keeps limits that were to be taken back: ${messageOf(error)}`),
      );
    });

  takeBack('the virtual machine', async () => {
    const reached = size;
    size = await resizeVm(directory, sizes, sizes.before);
    if (size.memoryMib !== reached.memoryMib) cgroup?.limit({}, size.memoryMib);
    if (size.memoryMib !== record.vmMemoryMib) store.write({ ...record, vmMemoryMib: size.memoryMib });
  });
  size = await resizeVm(directory, sizes, largerOf(sizes.before, sizes.after));
  // The host first: what the guest may use is to be there.
  cgroup?.limit(update, size.memoryMib);
  takeBack('the control group of the sandbox', async () => cgroup?.limit(undoOf(kept, update), size.memoryMib));
  const warnings = [...(await updateGuest(directory, id, update))];
  takeBack('the guest', () => updateGuest(directory, id, undoOf(kept, update)));
  // Smaller only when the container has its smaller limits: that is what makes memory free.
  const grown = size;
  size = await resizeVm(directory, sizes, smallerOf(grown, sizes.after));
  if (size.memoryMib !== grown.memoryMib) cgroup?.limit({}, size.memoryMib);
  store.write({ ...updated, vmMemoryMib: size.memoryMib });
  undo.move();

  for (const warning of [...warnings, ...shortfalls(size, sizes.after)]) await warn(warning);
}

/** @returns what the guest takes without enforcing it */
async function updateGuest(directory: string, id: string, update: Resources): Promise<readonly string[]> {
  const ociResourcesJson = JSON.stringify(resourcesForGuest(update));
  return await callAgent(directory, async (agent) => {
    const { warnings } = await agent.call('UpdateContainer', { containerId: id, ociResourcesJson });
    return warnings;
  });
}
