// Pods: containers that share a VM. The first is the sandbox; it is in the folder of its own as any container, and those that are
// put into its VM have its sockets in theirs, as links: whoever talks to a container need not know whose VM it is in.
import { lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config, Namespace } from '../oci/config.ts';
import { podMembership } from '../oci/cri-annotations.ts';
import { currentStatus } from './container-state.ts';
import { isAlive, type ProcessIdentity } from './process-identity.ts';
import { RuntimeError } from './runtime-error.ts';
import {
  CONTROL_SOCKET,
  type ContainerRecord,
  MEMBERS_FOLDER,
  names,
  PROXY_SOCKET,
  REPORT_FILE,
  SANDBOX_LOG,
  type StateStore,
  VSOCK_SOCKET,
} from './state-store.ts';

/** A VM that runs, for one more container. */
export interface Pod {
  /** The container whose VM it is. */
  readonly sandboxId: string;
  readonly sandbox: ProcessIdentity;
  readonly vmMemoryMib: number;
  /** That container, while it runs: what the others share is mostly its. */
  readonly first?: ContainerRecord;
}

/**
 * The VM that a new container is to be put into.
 * @returns undefined for one that gets its own
 * @throws RuntimeError NO_SANDBOX; ConfigError
 */
export function findPod(store: StateStore, id: string, { annotations, linux }: Config): Pod | undefined {
  const membership = podMembership(id, annotations);
  if (membership === undefined) return undefined;
  const { sandboxId, annotation, isOptional } = membership;
  const named = readIfThere(store, sandboxId);
  const record = named ?? (isOptional ? sharedBy(store, linux?.namespaces ?? []) : undefined);
  if (record === undefined && isOptional) return undefined;
  // What was put into a VM is as good a name for it as the one that it was made for.
  const owner = record?.sandboxId === undefined ? record : readIfThere(store, record.sandboxId);
  if (owner?.sandbox !== undefined && isAlive(owner.sandbox)) {
    const { id: sandboxId, sandbox, vmMemoryMib } = owner;
    return { sandboxId, sandbox, vmMemoryMib, ...(isRunning(owner) ? { first: owner } : {}) };
  }
  const hint = annotation.startsWith('io.kubernetes.cri-o.') ? '; CRI-O keeps it with drop_infra_ctr = false' : '';
  const what = record === undefined ? `does not exist${hint}` : 'is not running';
  const message = `container ${sandboxId}, into whose virtual machine annotation ${annotation} puts ${id}, ${what}`;
  throw new RuntimeError('NO_SANDBOX', message, { id, sandboxId });
}

/** Where an engine names a pod by something else than its sandbox, the namespaces that are to be shared tell which it is. */
function sharedBy(store: StateStore, namespaces: readonly Namespace[]): ContainerRecord | undefined {
  const pids = namespaces.map(({ path = '' }) => Number(/^\/proc\/(\d+)\/ns\//.exec(path)?.[1]));
  return running(store).find(({ init }) => init !== undefined && pids.includes(init.pid));
}

/** All containers that have a process: as many files are read as there are containers. */
export function running(store: StateStore): ContainerRecord[] {
  return records(store, store.list()).filter(isRunning);
}

function isRunning(record: ContainerRecord): boolean {
  return record.init !== undefined && currentStatus(record) !== 'stopped';
}

/** Says that a container is in the VM of another one; call it before there is a record of it. */
export function enterPod(store: StateStore, id: string, sandboxId: string): void {
  const folder = membersFolder(store, sandboxId);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  writeFileSync(join(folder, id), '');
}

/** Call it when the container's record is gone. */
export function leavePod(store: StateStore, id: string, sandboxId: string): void {
  rmSync(join(membersFolder(store, sandboxId), id), { force: true });
}

/** The other containers in a container's VM, if that was made for it. */
export function membersOf(store: StateStore, sandboxId: string): ContainerRecord[] {
  // Somebody may have been killed before there was a record, or when it was gone.
  return records(store, names(membersFolder(store, sandboxId))).filter((record) => record.sandboxId === sandboxId);
}

function membersFolder(store: StateStore, sandboxId: string): string {
  return join(store.directory(sandboxId), MEMBERS_FOLDER);
}

/** Links the sandbox's sockets and reports into a container's folder. */
export function linkSockets(store: StateStore, id: string, sandboxId: string): void {
  for (const name of [CONTROL_SOCKET, PROXY_SOCKET, VSOCK_SOCKET, SANDBOX_LOG, REPORT_FILE]) {
    symlinkSync(join('..', sandboxId, name), join(store.directory(id), name));
  }
}

/** Whether a container's VM was made for it: told by its folder, whatever became of its record. */
export function hasOwnSandbox(store: StateStore, id: string): boolean {
  const socket = join(store.directory(id), CONTROL_SOCKET);
  return lstatSync(socket, { throwIfNoEntry: false })?.isSymbolicLink() !== true;
}

function records(store: StateStore, ids: readonly string[]): ContainerRecord[] {
  return ids.map((id) => readIfThere(store, id)).filter((record) => record !== undefined);
}

/** Others come and go while we look. */
function readIfThere(store: StateStore, id: string): ContainerRecord | undefined {
  try {
    return store.read(id);
  } catch (error) {
    const isNone = error instanceof RuntimeError && ['NOT_FOUND', 'STATE_DAMAGED', 'INVALID_ID'].includes(error.code);
    if (isNone) return undefined;
    throw error;
  }
}
