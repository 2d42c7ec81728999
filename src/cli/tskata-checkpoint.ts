// `tskata checkpoint` and `tskata restore`: a container is saved with its VM, and goes on from there, as often as wanted.
import { resolve } from 'node:path';
import { checkpointContainer } from '../runtime/checkpoint.ts';
import { readCheckpoint } from '../runtime/checkpoint-folder.ts';
import { deleteContainer } from '../runtime/operations.ts';
import { RuntimeError } from '../runtime/runtime-error.ts';
import { StateStore } from '../runtime/state-store.ts';
import type { GlobalOptions } from './tskata.ts';
import { runContainer } from './tskata-run.ts';

/** runc's, below the working directory. */
const DEFAULT_IMAGE = 'checkpoint';
/** Why memory does not come in parts. */
const REASON = 'a checkpoint is one snapshot of the whole virtual machine';

interface ImageFlags {
  readonly imagePath?: string;
  readonly lazyPages?: boolean;
}

export interface CheckpointFlags extends ImageFlags {
  readonly leaveRunning?: boolean;
  readonly preDump?: boolean;
  readonly pageServer?: string;
  readonly parentPath?: string;
}

export interface RestoreFlags extends ImageFlags {
  readonly bundle?: string;
  readonly consoleSocket?: string;
  readonly pidFile?: string;
  readonly detach?: boolean;
  readonly lsmProfile?: string;
  readonly lsmMountContext?: string;
}

/** @throws RuntimeError, Node's error */
export async function checkpoint(globals: GlobalOptions, flags: CheckpointFlags, id: string): Promise<void> {
  const { preDump, lazyPages, pageServer, parentPath, imagePath = DEFAULT_IMAGE, leaveRunning = false } = flags;
  const store = new StateStore(globals.root);
  // What is not there is told first, as runc does.
  store.read(id);
  refuse('checkpoint', id, {
    '--pre-dump': preDump,
    '--lazy-pages': lazyPages,
    '--page-server': pageServer,
    '--parent-path': parentPath,
  });
  await checkpointContainer(store, id, { imagePath, leaveRunning });
  // As runc does.
  if (!leaveRunning) await deleteContainer(store, id, true, globals.warn);
}

/** @returns the exit status of the container; 0 with `--detach`. @throws RuntimeError, Node's error */
export async function restore(globals: GlobalOptions, flags: RestoreFlags, id: string): Promise<number> {
  const { lazyPages, imagePath = DEFAULT_IMAGE, bundle = '.', lsmProfile, lsmMountContext } = flags;
  refuse('restore', id, { '--lazy-pages': lazyPages });
  for (const label of [lsmProfile, lsmMountContext].filter((text) => text !== undefined && text !== '')) {
    await globals.warn(`the label ${label} is not given to the container: its virtual machine has no security module`);
  }
  const start = { ...flags, bundle, preserveFds: 0, checkpoint: readCheckpoint(resolve(imagePath)) };
  return await runContainer(globals, start, id, 'restore');
}

function refuse(verb: string, id: string, flags: Readonly<Record<string, boolean | string | undefined>>): void {
  for (const [name, value] of Object.entries(flags)) {
    if (value === undefined || value === false || value === '') continue;
    const message = `cannot ${verb} container ${id} with ${name}: ${REASON}`;
    throw new RuntimeError('UNSUPPORTED', message, { id });
  }
}
