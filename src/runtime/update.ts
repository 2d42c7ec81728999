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
import { type ConfigurationSource, largerOf, resizeVm, sizeForLimits } from './update-size.ts';

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
  const size = await sizeForLimits(source, record);
  const wantedSize = isOwnVm ? await sizeForLimits(source, updated) : size;
  const largest = largerOf(size, wantedSize);
  await using undo = new AsyncDisposableStack();
  const takeBack = (where: string, action: () => Promise<unknown>): void =>
    undo.defer(async () => {
      await action().catch((error: unknown) =>
        warn(`${where} keeps limits that were to be taken back: ${messageOf(error)}`),
      );
    });

  takeBack('the virtual machine', () => resizeVm(directory, largest, size));
  let vmMemoryMib = (await resizeVm(directory, size, largest)) ?? record.vmMemoryMib;
  const warnings = [...(await updateGuest(directory, id, update))];
  takeBack('the guest', () => updateGuest(directory, id, undoOf(kept, update)));
  // Smaller only when the container has its smaller limits: that is what makes memory free.
  vmMemoryMib = (await resizeVm(directory, largest, wantedSize)) ?? vmMemoryMib;
  const cgroup = SandboxCgroup.read(directory);
  cgroup?.limit(update, vmMemoryMib);
  takeBack('the control group of the sandbox', async () => cgroup?.limit(undoOf(kept, update), record.vmMemoryMib));
  store.write({ ...updated, vmMemoryMib });
  undo.move();

  if (isOwnVm && vmMemoryMib < wantedSize.memoryMib) {
    const reason = `the virtual machine has ${vmMemoryMib} MiB and cannot have the ${wantedSize.memoryMib} that go with the limit`;
    warnings.push(`${reason}: it may grow up to default_maxmemory, as that was when the container was made`);
  }
  for (const warning of warnings) await warn(warning);
}

/** @returns what the guest takes without enforcing it */
async function updateGuest(directory: string, id: string, update: Resources): Promise<readonly string[]> {
  const ociResourcesJson = JSON.stringify(resourcesForGuest(update));
  return await callAgent(directory, async (agent) => {
    const { warnings } = await agent.call('UpdateContainer', { containerId: id, ociResourcesJson });
    return warnings;
  });
}
