// A snapshot on disk: a folder with a manifest, the state of processors and devices, and guest memory. It is written beside
// its place and renamed at the end, so that a folder with the name is whole; reading judges it before a VM is made of it.
import { createHash } from 'node:crypto';
import { fstatSync, readFileSync } from 'node:fs';
import { type FileHandle, mkdir, mkdtemp, open, rename, rm, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { OwnedFd } from '../ffi/fd.unsafe.ts';
import { openRegularFile } from '../host/regular-file.ts';
import { messageOf, TskataError } from '../lib/errors.ts';
import { VERSION } from '../lib/version.ts';
import { digestMemoryFile, type MemorySource, writeMemoryFile } from './memory-file.ts';
import { decodeState, encodeState, type StateValue } from './state-json.ts';

/** Counts changes of the format; a snapshot with a higher one is from a newer program. */
export const SNAPSHOT_VERSION = 1;
const FORMAT = 'tskata-vm-snapshot';

const MANIFEST = 'manifest.json';
const STATE = 'state.json';
const MEMORY = 'memory';

export type SnapshotErrorCode =
  /** There is a file or folder of the name already, or it cannot be made. */
  | 'CANNOT_WRITE'
  /** No snapshot is there, or a part of it cannot be read. */
  | 'CANNOT_READ'
  /** A newer program wrote it. */
  | 'VERSION'
  /** It is damaged: sizes or digests are not those of the manifest. */
  | 'CORRUPTED';

export class SnapshotError extends TskataError<SnapshotErrorCode> {}

/** What `manifest.json` says. */
export interface SnapshotManifest {
  readonly format: typeof FORMAT;
  readonly version: number;
  /** Of the program that wrote it. */
  readonly tskataVersion: string;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly state: { readonly bytes: number; readonly sha256: string };
  /** `digest` as of src/vmm/memory-file.ts. */
  readonly memory: { readonly bytes: number; readonly digest: string };
}

export interface SnapshotContents {
  readonly state: StateValue;
  readonly memory: readonly MemorySource[];
  /** Gives up; the memory is not touched any more when `writeSnapshot` has settled. */
  readonly signal?: AbortSignal;
}

/**
 * Writes a snapshot. On failure nothing is left.
 * @param path of a folder that is not there yet; only this user may read what is in it, which is all that the guest knows
 * @throws SnapshotError CANNOT_WRITE, and the signal's reason (rejects)
 */
export async function writeSnapshot(path: string, contents: SnapshotContents): Promise<void> {
  const target = resolve(path);
  const remove = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true }).catch(() => undefined);
  await using made = new AsyncDisposableStack();
  try {
    // rename(2) would replace an empty folder: somebody made it for something else.
    await mkdir(target, { mode: 0o700 });
    let isRenamed = false;
    // Before it is ours and whole, only what is still empty.
    made.defer(() => (isRenamed ? remove(target) : rmdir(target).catch(() => undefined)));
    const scratch = await mkdtemp(join(dirname(target), `.${basename(target)}-`));
    made.defer(() => remove(scratch));
    await writeContents(scratch, contents);
    await rename(scratch, target);
    isRenamed = true;
    await syncFolder(dirname(target));
    made.move();
  } catch (error) {
    contents.signal?.throwIfAborted();
    const isTaken = (error as NodeJS.ErrnoException).code === 'EEXIST';
    const reason = isTaken ? 'it is there already: remove it or choose another name' : messageOf(error);
    throw new SnapshotError('CANNOT_WRITE', `cannot write the snapshot ${path}: ${reason}`, { path }, { cause: error });
  }
}

async function writeContents(folder: string, { state, memory, signal }: SnapshotContents): Promise<void> {
  const stateBytes = Buffer.from(`${JSON.stringify(encodeState(state))}\n`);
  const memoryBytes = memory.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const digest = await writeFileWith(join(folder, MEMORY), (file) => writeMemoryFile(file, memory, signal));
  await writeFileWith(join(folder, STATE), (file) => file.writeFile(stateBytes));
  const manifest: SnapshotManifest = {
    format: FORMAT,
    version: SNAPSHOT_VERSION,
    tskataVersion: VERSION,
    createdAt: new Date().toISOString(),
    state: { bytes: stateBytes.length, sha256: sha256(stateBytes) },
    memory: { bytes: memoryBytes, digest },
  };
  await writeFileWith(join(folder, MANIFEST), (file) => file.writeFile(`${JSON.stringify(manifest, null, 2)}\n`));
  await syncFolder(folder);
}

async function writeFileWith<Result>(path: string, write: (file: FileHandle) => Promise<Result>): Promise<Result> {
  await using file = await open(path, 'wx', 0o600);
  const result = await write(file);
  await file.sync();
  return result;
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A snapshot that was found whole. Disposing it closes its memory file; mappings of the file stay. */
export class SnapshotFolder implements Disposable {
  readonly path: string;
  readonly manifest: SnapshotManifest;
  readonly state: StateValue;
  readonly memory: OwnedFd;

  /**
   * Opens and checks a snapshot.
   * @param options.verifyMemory whether all of the memory is read and its digest compared; sizes always are
   * @throws SnapshotError CANNOT_READ, VERSION, CORRUPTED
   */
  constructor(path: string, { verifyMemory }: { readonly verifyMemory: boolean }) {
    this.path = path;
    this.manifest = readManifest(path);
    this.state = readState(path, this.manifest);
    using owned = new DisposableStack();
    this.memory = owned.use(openMemory(path));
    this.#checkMemory(verifyMemory);
    owned.move();
  }

  #checkMemory(verify: boolean): void {
    const { bytes, digest } = this.manifest.memory;
    const file = join(this.path, MEMORY);
    const { size } = fstatSync(this.memory.fd);
    if (size !== bytes) throw corrupted(file, `has ${size} bytes, and ${bytes} were written`);
    if (!verify) return;
    const found = digestMemoryFile(this.memory.fd, bytes);
    if (found !== digest) throw corrupted(file, `has the digest ${found}, and was written with ${digest}`);
  }

  [Symbol.dispose](): void {
    this.memory[Symbol.dispose]();
  }
}

function corrupted(file: string, what: string): SnapshotError {
  return new SnapshotError('CORRUPTED', `the snapshot is damaged: ${file} ${what}`, { path: file });
}

function cannotRead(path: string, cause: unknown): SnapshotError {
  return new SnapshotError(
    'CANNOT_READ',
    `cannot read the snapshot file ${path}: ${messageOf(cause)}`,
    { path },
    { cause },
  );
}

function readWhole(path: string): Buffer {
  try {
    using file = openRegularFile(path);
    return readFileSync(file.fd);
  } catch (cause) {
    throw cannotRead(path, cause);
  }
}

function openMemory(path: string): OwnedFd {
  const file = join(path, MEMORY);
  try {
    return openRegularFile(file);
  } catch (cause) {
    throw cannotRead(file, cause);
  }
}

/** @throws SnapshotError CORRUPTED */
function parse<Result>(file: string, text: string, read: (text: string) => Result): Result {
  try {
    return read(text);
  } catch (error) {
    throw corrupted(file, `is no JSON: ${messageOf(error)}`);
  }
}

function readManifest(path: string): SnapshotManifest {
  const file = join(path, MANIFEST);
  const text = readWhole(file).toString();
  const found: Partial<SnapshotManifest> | null = parse(file, text, JSON.parse);
  if (found === null || typeof found !== 'object' || found.format !== FORMAT || !Number.isInteger(found.version)) {
    throw corrupted(file, `is no manifest of the format ${FORMAT}`);
  }
  const { version = 0, tskataVersion = 'of unknown version' } = found;
  if (version > SNAPSHOT_VERSION || version < 1) {
    throw new SnapshotError(
      'VERSION',
      `the snapshot ${path} has format version ${version}, written by tskata ${tskataVersion}; this is tskata ${VERSION}, ` +
        `which reads version ${SNAPSHOT_VERSION}: restore it with the program that wrote it`,
      { path, version },
    );
  }
  const { state, memory } = found;
  const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;
  if (
    !isCount(state?.bytes) ||
    !isCount(memory?.bytes) ||
    typeof state?.sha256 !== 'string' ||
    typeof memory?.digest !== 'string'
  ) {
    throw corrupted(file, 'lacks sizes and digests');
  }
  return found as SnapshotManifest;
}

function readState(path: string, { state }: SnapshotManifest): StateValue {
  const file = join(path, STATE);
  const bytes = readWhole(file);
  if (bytes.length !== state.bytes) throw corrupted(file, `has ${bytes.length} bytes, and ${state.bytes} were written`);
  if (sha256(bytes) !== state.sha256) throw corrupted(file, 'has another digest than it was written with');
  return parse(file, bytes.toString(), (text) => decodeState(JSON.parse(text)));
}
