// `checkpoint`: a container is saved with its VM, paused.
import { closeSync, constants, mkdirSync, openSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { messageOf } from '../lib/errors.ts';
import { currentStatus } from './container-state.ts';
import { membersOf } from './pod.ts';
import { waitForEnd } from './process-identity.ts';
import { RuntimeError } from './runtime-error.ts';
import { callSandbox } from './sandbox-client.ts';
import type { StateStore } from './state-store.ts';

/** Gigabytes may have to be written to a slow disk. */
const CHECKPOINT_MS = 30 * 60_000;
/** How long a reader may take for what the container wrote last. */
const FLUSH_MS = 10_000;

export interface CheckpointOptions {
  /** The folder that gets it; made when missing. */
  readonly imagePath: string;
  /** Whether the container goes on; else it is killed. */
  readonly leaveRunning: boolean;
}

/** Saves a container. @throws RuntimeError NOT_FOUND, WRONG_STATUS, UNSUPPORTED, CHECKPOINT_FAILED. It goes on then. */
export async function checkpointContainer(
  store: StateStore,
  id: string,
  { imagePath, leaveRunning }: CheckpointOptions,
): Promise<void> {
  using _lock = store.lock(id);
  const record = store.read(id);
  const status = currentStatus(record);
  if (status !== 'running' && status !== 'paused') {
    throw new RuntimeError('WRONG_STATUS', `Container cannot be checkpointed in ${status} state`, { id, status });
  }
  if (record.sandboxId !== undefined || membersOf(store, id).length > 0) {
    const message = `cannot checkpoint container ${id}: it shares its virtual machine with others, and a checkpoint has all of it`;
    throw new RuntimeError('UNSUPPORTED', message, { id });
  }
  const path = resolve(imagePath);
  // What the guest knows is in it.
  const made = mkdirSync(path, { recursive: true, mode: 0o700 });
  // By its descriptor: the sandbox may not see what has been mounted since its start; and without us nothing is completed.
  const folder = openSync(path, constants.O_DIRECTORY);
  try {
    const directory = `/proc/${process.pid}/fd/${folder}`;
    const { vmMemoryMib } = record;
    const request = { containerId: id, directory, isPaused: status === 'paused', leaveRunning, vmMemoryMib };
    await callSandbox(store.directory(id), 'Checkpoint', request, CHECKPOINT_MS);
    // What it had written is passed on first.
    if (!leaveRunning && record.init !== undefined) await waitForEnd(record.init, FLUSH_MS);
  } catch (cause) {
    if (made !== undefined) rmSync(made, { recursive: true, force: true });
    const message = `cannot checkpoint container ${id}: ${messageOf(cause)}`;
    throw new RuntimeError('CHECKPOINT_FAILED', message, { id, path }, { cause });
  } finally {
    closeSync(folder);
  }
}
