// What is known of containers between verbs: a folder each below the root. See ARCHITECTURE.md, "State directory".
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { makeFolders } from '../lib/node/make-folders.ts';
import type { Hooks } from '../oci/config.ts';
import { isContainerId } from '../oci/state.ts';
import type { Phase } from '../oci/status.ts';
import type { Resources } from '../oci/update-merge.ts';
import type { NamespaceIdentities } from './namespaces.ts';
import { identify, type ProcessIdentity } from './process-identity.ts';
import { RuntimeError } from './runtime-error.ts';

/** The content of `state.json`. */
export interface ContainerRecord {
  readonly ociVersion: string;
  readonly id: string;
  readonly bundle: string;
  /** Absolute path of the root file system on the host. */
  readonly rootfs: string;
  /** RFC 3339 */
  readonly created: string;
  /** Who made it. */
  readonly uid: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly phase: Phase;
  readonly paused?: boolean;
  /** As config.json had them when the container was made. */
  readonly hooks?: Hooks;
  /** linux.resources, with what updates have changed of it since; without devices. */
  readonly resources: Resources;
  /** What its VM has as RAM. */
  readonly vmMemoryMib: number;
  /** The verb that makes the container; what counts while `phase` is `creating`. */
  readonly creator: ProcessIdentity;
  readonly sandbox?: ProcessIdentity;
  /** The container in whose VM it is, if not in one of its own. */
  readonly sandboxId?: string;
  /** Once it is made. */
  readonly namespaces?: NamespaceIdentities;
  /** The proxy that stands for the container's init. */
  readonly init?: ProcessIdentity;
}

/** Names of the files in a container's folder. */
export const STATE_FILE = 'state.json';
export const LOCK_FILE = 'lock';
/** What is known of the sandbox's control groups on the host (host-cgroup.ts). */
export const CGROUP_FILE = 'cgroup.json';
export const CONTROL_SOCKET = 'control.sock';
export const PROXY_SOCKET = 'proxy.sock';
export const VSOCK_SOCKET = 'vsock.sock';
export const SHARED_FOLDER = 'shared';
export const WRITABLE_FOLDER = 'shared.rw';
/** Has an empty file for each container that was put into the VM of this one, by its id. */
export const MEMBERS_FOLDER = 'members';
export const SANDBOX_LOG = 'sandbox.log';
/** A `StartReport`, written when the sandbox ends. */
export const REPORT_FILE = 'report.json';

/** Verbs take seconds on slow machines too; longer, and whoever wants the container gone need not wait. */
const PATIENCE_S = 10;

/** util-linux, on every Debian machine. */
const FLOCK = '/usr/bin/flock';

function errorCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

export class StateStore {
  readonly root: string;

  /** @param root absolute path; made with the first container */
  constructor(root: string) {
    this.root = root;
  }

  /** The container's folder. @throws RuntimeError INVALID_ID */
  directory(id: string): string {
    if (id === '') throw new RuntimeError('INVALID_ID', 'container id cannot be empty');
    if (!isContainerId(id)) throw new RuntimeError('INVALID_ID', 'invalid container ID format', { id });
    return join(this.root, id);
  }

  /**
   * Makes the container's folder with its first record, whole or not at all, and takes its lock.
   * @throws RuntimeError ALREADY_EXISTS
   */
  create(record: ContainerRecord): Disposable {
    const directory = this.directory(record.id);
    makeFolders(this.root, 0o711);
    // No id has an @: this folder is nobody's container.
    const scratch = `${directory}@${process.pid}`;
    mkdirSync(scratch, { mode: 0o700 });
    let lock: Lock | undefined;
    try {
      lock = Lock.take(join(scratch, LOCK_FILE), constants.O_CREAT);
      writeFileSync(join(scratch, STATE_FILE), encode(record), { mode: 0o600 });
      // rename(2) replaces an empty folder only, and no container's folder is ever empty.
      renameSync(scratch, directory);
      return lock;
    } catch (error) {
      lock?.[Symbol.dispose]();
      rmSync(scratch, { recursive: true, force: true });
      const code = errorCode(error);
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
      throw new RuntimeError('ALREADY_EXISTS', 'container with given ID already exists', { id: record.id });
    }
  }

  /**
   * Waits until no other verb works on this container.
   * @param impatient told of a verb that does so for longer than `PATIENCE_S`, again and again until it is over
   * @throws RuntimeError NOT_FOUND
   */
  lock(id: string, impatient?: (holder: ProcessIdentity) => void): Disposable {
    const path = join(this.directory(id), LOCK_FILE);
    for (;;) {
      let lock: Lock | undefined;
      try {
        lock = Lock.take(path, 0, impatient === undefined ? undefined : PATIENCE_S);
      } catch (error) {
        throw errorCode(error) === 'ENOENT' ? notFound(id) : error;
      }
      if (lock === undefined) {
        const holder = readHolder(path);
        if (holder !== undefined) impatient?.(holder);
        continue;
      }
      // While we waited the container may have been deleted, and another one made under its name.
      if (lock.isFile(path)) return lock;
      lock[Symbol.dispose]();
    }
  }

  /** @throws RuntimeError NOT_FOUND, STATE_DAMAGED */
  read(id: string): ContainerRecord {
    const path = join(this.directory(id), STATE_FILE);
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      throw errorCode(error) === 'ENOENT' ? notFound(id) : error;
    }
    try {
      const record = JSON.parse(text) as ContainerRecord | null;
      if (record?.id !== id) throw new Error('it is not the record of this container');
      return record;
    } catch (cause) {
      const message = `${path} is damaged: remove the container with: tskata delete --force ${id}`;
      throw new RuntimeError('STATE_DAMAGED', message, { path }, { cause });
    }
  }

  /** Replaces the record; a reader sees the old one or the new one. Call it with the lock held. */
  write(record: ContainerRecord): void {
    const path = join(this.directory(record.id), STATE_FILE);
    writeFileSync(`${path}.new`, encode(record), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  /** Removes the container's folder. Its sandbox process must have ended. Call it with the lock held. */
  remove(id: string): void {
    const directory = this.directory(id);
    // Empty, as the sandbox's mounts are its own. If one could be seen after all, a recursive removal would empty a volume.
    for (const name of [SHARED_FOLDER, WRITABLE_FOLDER]) removeEmpty(join(directory, name));
    // Out of sight at once: nobody finds half of it, and nobody can put anything into it while it goes.
    const scratch = `${directory}@${process.pid}`;
    rmSync(scratch, { recursive: true, force: true });
    try {
      renameSync(directory, scratch);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
    rmSync(scratch, { recursive: true, force: true });
  }

  /** Removes what creators left behind that were killed before they had a container to show for it. */
  sweep(id: string): void {
    const prefix = `${id}@`;
    for (const name of names(this.root).filter((name) => name.startsWith(prefix))) {
      const pid = Number(name.slice(prefix.length));
      // With our own pid it is from a process that had it before us: where pids are few, they come again soon.
      const isRunning = pid !== process.pid && statSync(`/proc/${pid}`, { throwIfNoEntry: false }) !== undefined;
      if (!isRunning) rmSync(join(this.root, name), { recursive: true, force: true });
    }
  }

  /** Ids of all containers, sorted. */
  list(): string[] {
    const hasState = (id: string): boolean =>
      statSync(join(this.root, id, STATE_FILE), { throwIfNoEntry: false }) !== undefined;
    return names(this.root)
      .filter((name) => isContainerId(name) && hasState(name))
      .sort();
  }
}

function notFound(id: string): RuntimeError {
  return new RuntimeError('NOT_FOUND', 'container does not exist', { id });
}

function encode(record: ContainerRecord): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}

/** What is in a folder; nothing where there is none. */
export function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/**
 * Removes an empty file or folder, where there is one.
 * @throws RuntimeError STATE_DAMAGED, and Node's error for a folder that is not empty
 */
export function removeEmpty(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (stat.isDirectory()) rmdirSync(path);
  else if (stat.size === 0) unlinkSync(path);
  else throw new RuntimeError('STATE_DAMAGED', `${path} should be an empty file: it is left alone`, { path });
}

/** What flock(1) ends with when the time is over. */
const STATUS_TIMEOUT = 1;

/**
 * flock(2), which Node has not: flock(1) locks the open file that it inherits from us, and the lock stays with our descriptor. The file
 * says who has it.
 */
class Lock implements Disposable {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Waits for it.
   * @param flags more flags of open(2)
   * @param patienceS seconds; absent for as long as it takes
   * @returns undefined when somebody has had it all the time
   */
  static take(path: string, flags: number): Lock;
  static take(path: string, flags: number, patienceS: number | undefined): Lock | undefined;
  static take(path: string, flags: number, patienceS?: number): Lock | undefined {
    const fd = openSync(path, constants.O_RDWR | flags, 0o600);
    const patience = patienceS === undefined ? [] : ['--timeout', String(patienceS)];
    // Without a locale, which would take it longer to load than all that it does.
    const { status, error } = spawnSync(FLOCK, ['--exclusive', ...patience, '3'], {
      env: {},
      stdio: ['ignore', 'ignore', 'inherit', fd],
    });
    if (status === 0) {
      ftruncateSync(fd);
      writeSync(fd, JSON.stringify(identify(process.pid)), 0);
      return new Lock(fd);
    }
    closeSync(fd);
    if (status === STATUS_TIMEOUT && patienceS !== undefined) return undefined;
    const message = `cannot lock ${path}: ${FLOCK} ${error === undefined ? `ended with status ${status}` : error.message}`;
    throw new RuntimeError('STATE_DAMAGED', message, { path }, { cause: error });
  }

  isFile(path: string): boolean {
    return statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(this.#fd).ino;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** Who has a lock, or had it last. @returns undefined where nobody has said so */
function readHolder(path: string): ProcessIdentity | undefined {
  try {
    const { pid, startTime } = JSON.parse(readFileSync(path, 'utf8')) as Partial<ProcessIdentity>;
    return Number.isInteger(pid) && Number.isInteger(startTime)
      ? { pid: Number(pid), startTime: Number(startTime) }
      : undefined;
  } catch {
    return undefined; // Nobody yet, or the container has gone.
  }
}
