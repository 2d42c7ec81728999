// What is done to a container that is there: start, kill, delete.
import { messageOf } from '../lib/errors.ts';
import { SIGKILL, SIGRTMAX, SIGTERM } from '../oci/signals.ts';
import { canDelete, canKill, canStart } from '../oci/status.ts';
import { StatusError } from '../protocol/status.ts';
import { currentState, currentStatus } from './container-state.ts';
import { runHooks } from './hooks.ts';
import { SandboxCgroup } from './host-cgroup.ts';
import { onInterrupt } from './interrupt.ts';
import { hasOwnSandbox, leavePod, membersOf } from './pod.ts';
import { isAlive, type ProcessIdentity, signalIdentity, waitForEnd } from './process-identity.ts';
import { RuntimeError } from './runtime-error.ts';
import { callSandbox, ignoreLostSandbox } from './sandbox-client.ts';
import type { ContainerRecord, StateStore } from './state-store.ts';

/** Longer than the sandbox's own deadline for the same step. */
const START_MS = 90_000;
const SIGNAL_MS = 15_000;
/** A sandbox that has not ended by then is killed: nothing in it is worth more waiting. */
const DELETE_MS = 5_000;
const KILL_MS = 10_000;
/** Longer than the agent takes to free what a container had. */
const LEAVE_MS = 60_000;

/** Told what went wrong without being an error. */
export type Warn = (message: string) => Promise<void>;

/** Lets a created container's program run. @throws RuntimeError NOT_FOUND, WRONG_STATUS; StatusError */
export async function startContainer(store: StateStore, id: string, warn: Warn): Promise<void> {
  using _lock = store.lock(id);
  const record = store.read(id);
  const status = currentStatus(record);
  if (!canStart(status)) throw new RuntimeError('WRONG_STATUS', cannotStart(status), { id, status });
  await callSandbox(store.directory(id), 'StartContainer', { containerId: id }, START_MS);
  const started: ContainerRecord = { ...record, phase: 'started' };
  store.write(started);
  await runLateHooks('poststart', started, warn);
}

/** runc's words. */
function cannotStart(status: string): string {
  if (status === 'stopped') return 'cannot start a container that has stopped';
  if (status === 'running') return 'cannot start an already running container';
  return `cannot start a container in the ${status} state`;
}

/**
 * Sends a signal to a container's init, or to all of its processes. Takes no lock: a kill must not wait for a start that hangs.
 * @throws RuntimeError NOT_FOUND, NOT_RUNNING, INVALID_SIGNAL; StatusError
 */
export async function killContainer(store: StateStore, id: string, signal: number, all: boolean): Promise<void> {
  const record = store.read(id);
  if (!canKill(currentStatus(record))) throw new RuntimeError('NOT_RUNNING', 'container not running', { id });
  if (signal < 0 || signal > SIGRTMAX) {
    throw new RuntimeError('INVALID_SIGNAL', 'unable to signal init: invalid argument', { id, signal });
  }
  // Signal 0 asks whether it is there.
  if (signal === 0) return;
  try {
    await callSandbox(store.directory(id), 'SignalContainer', { containerId: id, signal, all }, SIGNAL_MS);
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    if (error.code === 'FAILED_PRECONDITION' || error.code === 'NOT_FOUND') {
      throw new RuntimeError('NOT_RUNNING', 'container not running', { id }, { cause: error });
    }
    // A guest that does not answer must still be killable: without its proxy it has no existence outside.
    if (signal !== SIGKILL || record.init === undefined) throw error;
    signalIdentity(record.init, SIGKILL);
  }
}

/**
 * Removes a container and all it held.
 * @param force whatever its status, and whoever works on it: a verb that hangs is ended; a container that is not there is no error then
 * @throws RuntimeError NOT_FOUND, WRONG_STATUS
 */
export async function deleteContainer(store: StateStore, id: string, force: boolean, warn: Warn): Promise<void> {
  if (force) store.sweep(id);
  try {
    using _lock = store.lock(id, force ? verbEnder() : undefined);
    const record = readForDelete(store, id, force);
    const status = record === undefined ? 'stopped' : currentStatus(record);
    if (!force && !canDelete(status)) {
      const message = `cannot delete container ${id} that is not stopped: ${status}`;
      throw new RuntimeError('WRONG_STATUS', message, { id, status });
    }
    if (!force) checkAlone(store, id);
    if (record !== undefined) await endProcesses(store, record);
    else await endUnknown(store, id);
    SandboxCgroup.read(store.directory(id))?.remove();
    store.remove(id);
    if (record?.sandboxId !== undefined) leavePod(store, id, record.sandboxId);
    if (record !== undefined) await runLateHooks('poststop', record, warn);
  } catch (error) {
    if (!(force && error instanceof RuntimeError && error.code === 'NOT_FOUND')) throw error;
  }
}

/** @returns what tells a verb to end, and kills it when it is called for it again */
function verbEnder(): (verb: ProcessIdentity) => void {
  const told = new Set<number>();
  return (verb) => {
    signalIdentity(verb, told.has(verb.pid) ? SIGKILL : SIGTERM);
    told.add(verb.pid);
  };
}

/** Without force a VM does not end under others that run in it. */
function checkAlone(store: StateStore, id: string): void {
  const others = membersOf(store, id).filter((record) => currentStatus(record) !== 'stopped');
  if (others.length === 0) return;
  const names = others.map(({ id }) => id).join(', ');
  const message = `cannot delete container ${id}: in its virtual machine run ${names}; delete them first, or all with --force`;
  throw new RuntimeError('WRONG_STATUS', message, { id });
}

/** Whose pids are not known: the sandbox ends them all when it ends itself, and one of others when it is told to. */
async function endUnknown(store: StateStore, id: string): Promise<void> {
  const directory = store.directory(id);
  const call = hasOwnSandbox(store, id)
    ? callSandbox(directory, 'Shutdown', {}, DELETE_MS)
    : callSandbox(directory, 'DeleteContainer', { containerId: id, force: true }, LEAVE_MS);
  await call.catch(ignoreLostSandbox);
}

/** config.md, "Poststart" and "Poststop": a failure is a warning, and life goes on. No hook outlives an interrupt. */
async function runLateHooks(point: 'poststart' | 'poststop', record: ContainerRecord, warn: Warn): Promise<void> {
  const interrupt = new AbortController();
  using _signals = onInterrupt(() => interrupt.abort());
  const state = currentState(record);
  await runHooks(point, record.hooks?.[point], state, interrupt.signal).catch((error) => warn(messageOf(error)));
  if (interrupt.signal.aborted)
    throw new RuntimeError('HOOK_FAILED', `interrupted in a ${point} hook`, { id: record.id });
}

/** With force, a record that cannot be read does not keep the rest from being removed. */
function readForDelete(store: StateStore, id: string, force: boolean): ContainerRecord | undefined {
  try {
    return store.read(id);
  } catch (error) {
    if (force && error instanceof RuntimeError && error.code === 'STATE_DAMAGED') return undefined;
    throw error;
  }
}

async function endProcesses(store: StateStore, { id, sandbox, sandboxId, init }: ContainerRecord): Promise<void> {
  if (sandbox !== undefined && isAlive(sandbox)) {
    if (sandboxId === undefined) await endSandbox(store, id, sandbox);
    else await leaveSandbox(store, id, sandbox);
  }
  if (init === undefined) return;
  signalIdentity(init, SIGKILL);
  await expectEnd(init);
}

async function endSandbox(store: StateStore, id: string, sandbox: ProcessIdentity): Promise<void> {
  // What others there have left ends with the VM.
  const isShared = membersOf(store, id).length > 0;
  const call = isShared
    ? callSandbox(store.directory(id), 'Shutdown', {}, DELETE_MS)
    : callSandbox(store.directory(id), 'DeleteContainer', { containerId: id, force: true }, DELETE_MS);
  // It may be ending already, or hang: either way it is gone in the end.
  await call.catch(ignoreLostSandbox);
  if (!(await waitForEnd(sandbox, DELETE_MS))) signalIdentity(sandbox, SIGKILL);
  await expectEnd(sandbox);
}

/** @throws StatusError when the container is still there, in a VM that goes on */
async function leaveSandbox(store: StateStore, id: string, sandbox: ProcessIdentity): Promise<void> {
  try {
    await callSandbox(store.directory(id), 'DeleteContainer', { containerId: id, force: true }, LEAVE_MS);
  } catch (error) {
    const isGone = error instanceof StatusError && error.code === 'NOT_FOUND';
    if (!isGone && isAlive(sandbox)) throw error;
  }
}

async function expectEnd(identity: { readonly pid: number; readonly startTime: number }): Promise<void> {
  if (await waitForEnd(identity, KILL_MS)) return;
  const message = `process ${identity.pid} does not end, though it was killed: see /proc/${identity.pid}/stack, then delete again`;
  throw new RuntimeError('SANDBOX_FAILED', message, { pid: identity.pid });
}

/** The message of an error, runc's way round: what failed in which verb. */
export function failedVerb(verb: string, error: unknown): Error {
  return new Error(`tskata ${verb} failed: ${messageOf(error)}`, { cause: error });
}
