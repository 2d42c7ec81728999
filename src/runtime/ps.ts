// `ps`: the processes of a container, as the host has them and as the guest has them.
import { hasInit } from '../oci/status.ts';
import type { ListProcessesResponse_Process } from '../protocol/agent.gen.ts';
import { callAgent } from './agent-call.ts';
import { currentStatus } from './container-state.ts';
import { callSandbox } from './sandbox-client.ts';
import type { StateStore } from './state-store.ts';

export type GuestProcessInfo = ListProcessesResponse_Process;

/** The sandbox answers from its own memory. */
const LIST_MS = 10_000;

/**
 * Pids on the host of those that stand for a container's processes, the init's first: signals to them reach the guest.
 * @returns undefined when nothing of it runs
 * @throws RuntimeError NOT_FOUND; StatusError
 */
export async function hostPids(store: StateStore, id: string): Promise<number[] | undefined> {
  if (!hasInit(currentStatus(store.read(id)))) return undefined;
  const { pids } = await callSandbox(store.directory(id), 'ListProxies', { containerId: id }, LIST_MS);
  return [...pids];
}

/**
 * The processes of a container as its guest has them; none when nothing of it runs.
 * @returns them, and when the guest started: milliseconds since the Unix epoch
 * @throws RuntimeError NOT_FOUND; StatusError
 */
export async function guestProcesses(
  store: StateStore,
  id: string,
): Promise<{ readonly processes: readonly GuestProcessInfo[]; readonly bootMs: number }> {
  if (!hasInit(currentStatus(store.read(id)))) return { processes: [], bootMs: 0 };
  return await callAgent(store.directory(id), async (agent) => {
    const { processes } = await agent.call('ListProcesses', { containerId: id });
    const { uptimeNs } = await agent.call('GuestDetails', {});
    return { processes, bootMs: Date.now() - Number(uptimeNs) / 1e6 };
  });
}
