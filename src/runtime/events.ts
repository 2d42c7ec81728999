// `events`: a container's statistics, and the times when its memory was not enough, as they come.
import { setTimeout } from 'node:timers/promises';
import type { AgentClient } from '../agent-client/agent-client.ts';
import { TIMER_MAX_MS } from '../lib/units.ts';
import { hasInit } from '../oci/status.ts';
import type { ContainerStatsResponse, Event } from '../protocol/agent.gen.ts';
import { StatusError } from '../protocol/status.ts';
import { callAgent } from './agent-call.ts';
import { currentStatus } from './container-state.ts';
import { RuntimeError } from './runtime-error.ts';
import type { StateStore } from './state-store.ts';

export type ContainerEvent =
  | { readonly type: 'stats'; readonly stats: ContainerStatsResponse }
  | { readonly type: 'oom' };

/** @throws RuntimeError NOT_FOUND, NOT_RUNNING; StatusError */
export async function containerStats(store: StateStore, id: string): Promise<ContainerStatsResponse> {
  requireRunning(store, id);
  return await callAgent(store.directory(id), (agent) => agent.call('ContainerStats', { containerId: id }));
}

/**
 * Tells what happens until the container ends.
 * @param intervalMs between statistics; the first come after one
 * @param tell called with one event after the other; what it throws ends the call
 * @throws RuntimeError NOT_FOUND, NOT_RUNNING; StatusError
 */
export async function followEvents(
  store: StateStore,
  id: string,
  intervalMs: number,
  tell: (event: ContainerEvent) => Promise<void>,
): Promise<void> {
  requireRunning(store, id);
  try {
    await callAgent(store.directory(id), (agent) => follow(store, id, agent, intervalMs, tell));
  } catch (error) {
    // With its last container the VM ends, and every connection to it.
    if (!(error instanceof StatusError) || isRunning(store, id)) throw error;
  }
}

async function follow(
  store: StateStore,
  id: string,
  agent: AgentClient,
  intervalMs: number,
  tell: (event: ContainerEvent) => Promise<void>,
): Promise<void> {
  const events = agent.events(id)[Symbol.asyncIterator]();
  let event = events.next();
  // Answered after the agent has begun to tell events: an end before that is seen here, a later one is told.
  await agent.call('ContainerStats', { containerId: id });
  const ended = new AbortController();
  const interval = (): Promise<'tick'> =>
    setTimeout(Math.min(intervalMs, TIMER_MAX_MS), 'tick', { signal: ended.signal });
  let tick = interval();
  try {
    while (isRunning(store, id)) {
      const next = await Promise.race([event, tick]);
      if (next === 'tick') {
        tick = interval();
        await tell({ type: 'stats', stats: await agent.call('ContainerStats', { containerId: id }) });
      } else {
        if (next.done === true || isEnd(next.value)) return;
        event = events.next();
        if (next.value.kind?.$case === 'outOfMemory') await tell({ type: 'oom' });
      }
    }
  } finally {
    tick.catch(() => {});
    event.catch(() => {});
    ended.abort();
  }
}

/** Whether the container's init has ended, and with it everything in its pid namespace. */
function isEnd({ kind }: Event): boolean {
  return kind?.$case === 'processExited' && kind.value.processId === '';
}

function isRunning(store: StateStore, id: string): boolean {
  try {
    return hasInit(currentStatus(store.read(id)));
  } catch (error) {
    // Deleted meanwhile.
    if (error instanceof RuntimeError && error.code === 'NOT_FOUND') return false;
    throw error;
  }
}

/** runc's words. */
function requireRunning(store: StateStore, id: string): void {
  store.read(id);
  if (!isRunning(store, id)) throw new RuntimeError('NOT_RUNNING', `container with id ${id} is not running`, { id });
}
