// `pause` and `resume`: the guest freezes the processes of a container, and thaws them.
import { canPause } from '../oci/status.ts';
import { callAgent } from './agent-call.ts';
import { currentStatus } from './container-state.ts';
import { RuntimeError } from './runtime-error.ts';
import type { StateStore } from './state-store.ts';

/** Lets all processes of a container stand still. @throws RuntimeError NOT_FOUND, NOT_RUNNING; StatusError */
export async function pauseContainer(store: StateStore, id: string): Promise<void> {
  using _lock = store.lock(id);
  const record = store.read(id);
  if (!canPause(currentStatus(record))) throw new RuntimeError('NOT_RUNNING', 'container not running', { id });
  await callAgent(store.directory(id), (agent) => agent.call('PauseContainer', { containerId: id }));
  store.write({ ...record, paused: true });
}

/** Lets them go on. @throws RuntimeError NOT_FOUND, WRONG_STATUS; StatusError */
export async function resumeContainer(store: StateStore, id: string): Promise<void> {
  using _lock = store.lock(id);
  const record = store.read(id);
  const status = currentStatus(record);
  if (status !== 'paused') throw new RuntimeError('WRONG_STATUS', 'container not paused', { id, status });
  await callAgent(store.directory(id), (agent) => agent.call('ResumeContainer', { containerId: id }));
  store.write({ ...record, paused: false });
}
