// A checkpoint on disk: a folder with checkpoint.json, and a folder with the snapshot of the VM that it names. Who reads it does
// not trust it: it says nothing of this host but its own parts.
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomHex } from '../host/random.ts';
import { messageOf } from '../lib/errors.ts';
import { VERSION } from '../lib/version.ts';
import { isContainerId } from '../oci/state.ts';
import { RuntimeError } from './runtime-error.ts';

/** Counts changes of the format; a checkpoint with a higher one is from a newer program. */
const CHECKPOINT_VERSION = 1;
const FORMAT = 'tskata-checkpoint';
const CHECKPOINT_FILE = 'checkpoint.json';
const SNAPSHOT_NAME = /^vm-[0-9a-f]{16}$/;
const NAME_BYTES = 8;

/** What must be known of a container to find it in the copy of its VM. */
export interface SavedContainer {
  readonly containerId: string;
  /** What its part of the shared folder is called: its first id. */
  readonly sharedName: string;
  /** Names the streams of its init: see StdioRequest in agent.proto. */
  readonly stdioToken: string;
  readonly terminal: boolean;
  /** What its VM has as RAM, grown or not. */
  readonly vmMemoryMib: number;
}

export interface SavedVm {
  readonly networkCards: number;
}

export interface Checkpoint extends SavedContainer, SavedVm {
  /** Absolute path of the VM's snapshot. */
  readonly snapshot: string;
}

/**
 * Writes a checkpoint to a folder; one that is there already is replaced when the new one is whole.
 * @param snapshot writes the VM's snapshot to a folder that is not there yet
 * @throws what `snapshot` rejects with; Node's error (rejects)
 */
export async function writeCheckpoint(
  folder: string,
  saved: SavedContainer & SavedVm,
  snapshot: (path: string) => Promise<void>,
): Promise<void> {
  const name = `vm-${randomHex(NAME_BYTES)}`;
  await snapshot(join(folder, name));
  const content = {
    format: FORMAT,
    version: CHECKPOINT_VERSION,
    tskataVersion: VERSION,
    createdAt: new Date().toISOString(),
    ...saved,
    snapshot: name,
  };
  const path = join(folder, CHECKPOINT_FILE);
  try {
    writeFileSync(`${path}.new`, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch (error) {
    for (const half of [`${path}.new`, join(folder, name)]) rmSync(half, { recursive: true, force: true });
    throw error;
  }
  removeOthers(folder, name);
}

/** What an earlier checkpoint was made of, or one that was never done. */
function removeOthers(folder: string, name: string): void {
  const others = readdirSync(folder).filter((other) => SNAPSHOT_NAME.test(other) && other !== name);
  for (const other of others) rmSync(join(folder, other), { recursive: true, force: true });
}

/** @param folder absolute path. @throws RuntimeError INVALID_CHECKPOINT */
export function readCheckpoint(folder: string): Checkpoint {
  const path = join(folder, CHECKPOINT_FILE);
  let content: Partial<Record<string, unknown>>;
  try {
    content = (JSON.parse(readFileSync(path, 'utf8')) ?? {}) as typeof content;
  } catch (error) {
    throw invalid(`${folder} has no checkpoint of tskata: ${messageOf(error)}`, path);
  }
  const { format, version, tskataVersion, containerId, sharedName, stdioToken, terminal, vmMemoryMib, networkCards } =
    content;
  if (format !== FORMAT) throw invalid(`${path} is no checkpoint of tskata`, path);
  if (typeof version === 'number' && version > CHECKPOINT_VERSION) {
    const message = `${path} has format version ${version}, this program knows ${CHECKPOINT_VERSION}: restore it with the program that wrote it (${tskataVersion})`;
    throw invalid(message, path);
  }
  const snapshot = content['snapshot'];
  const isWhole =
    isId(containerId) &&
    isId(sharedName) &&
    typeof stdioToken === 'string' &&
    /^[0-9a-f]{32,128}$/.test(stdioToken) &&
    typeof terminal === 'boolean' &&
    isCount(vmMemoryMib) &&
    isCount(networkCards) &&
    typeof snapshot === 'string' &&
    SNAPSHOT_NAME.test(snapshot);
  if (!isWhole) throw invalid(`${path} is damaged`, path);
  return { containerId, sharedName, stdioToken, terminal, vmMemoryMib, networkCards, snapshot: join(folder, snapshot) };
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && isContainerId(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function invalid(message: string, path: string): RuntimeError {
  return new RuntimeError('INVALID_CHECKPOINT', message, { path });
}
