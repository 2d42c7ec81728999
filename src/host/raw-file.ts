// A disk image without a format, or a block device: byte n of the guest's disk is byte n of the file. Reads and writes go
// straight between the file and the guest's memory, on libuv's threads, through the host's page cache or past it.
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { BlockBackend } from '../devices/virtio/block/backend.ts';
import { SECTOR_SIZE } from '../devices/virtio/block/config-space.ts';
import { punchHole, tryLock, zeroRange } from '../ffi/fd.unsafe.ts';
import { blockDeviceLogicalBlockSize, blockDeviceSize } from '../ffi/ioctl.unsafe.ts';
import { SystemError } from '../ffi/system-error.ts';
import type { Fd } from '../lib/brand.ts';
import { messageOf, TskataError } from '../lib/errors.ts';
import { MIB, PAGE_SIZE } from '../lib/units.ts';
import { withoutStart } from './buffers.ts';
import { cachedTransfers, DirectTransfers, OPEN_DIRECT, type Transfers } from './direct-transfers.ts';

export type RawFileErrorCode =
  /** It cannot be opened. */
  | 'OPEN'
  /** It is neither a file nor a block device. */
  | 'NOT_A_DISK'
  /** It is empty, or its size is no multiple of 512 bytes. */
  | 'SIZE'
  /** Another VM writes to it, or reads what this one would write to. */
  | 'IN_USE'
  /** It ended before the size that it had when it was opened: somebody truncated it. */
  | 'TRUNCATED'
  /** Its file system knows no transfers past the page cache. */
  | 'NO_DIRECT'
  /** A transfer past the page cache is not of whole blocks. */
  | 'UNALIGNED'
  /** It was disposed. */
  | 'CLOSED';

export class RawFileError extends TskataError<RawFileErrorCode> {}

/** What the host does with a guest's writes before the guest asks for a flush. */
export const CACHE_MODES = [
  /** They are in the host's page cache, and may be lost with the host. */
  'writeback',
  /** They go to the storage past the page cache (O_DIRECT), and may be in a cache of its own. */
  'direct',
  /** They are stable once they complete (O_DSYNC). */
  'sync',
] as const;
export type CacheMode = (typeof CACHE_MODES)[number];

export interface RawFileOptions {
  /** @default false */
  readonly readOnly?: boolean;
  /** @default writeback */
  readonly cache?: CacheMode;
}

const OPEN_FLAGS: Readonly<Record<CacheMode, number>> = {
  writeback: 0,
  direct: OPEN_DIRECT,
  sync: constants.O_DSYNC,
};

/** What zeros are written from, where the file system cannot make them. */
const ZEROS = new Uint8Array(MIB);

interface Geometry {
  readonly size: number;
  readonly blockSize: number;
  readonly physicalBlockSize: number;
}

/** An open image, locked for this process. */
export class RawFile implements BlockBackend, AsyncDisposable {
  readonly path: string;
  readonly readOnly: boolean;
  readonly size: number;
  readonly blockSize: number;
  readonly physicalBlockSize: number;

  readonly #file: FileHandle;
  readonly #transfers: Transfers | DirectTransfers;
  readonly #cache: CacheMode;
  #canPunchHoles: boolean;
  #canZeroRanges = true;
  #inFlight = 0;
  /** Settles once the last operation has; there from the disposal on. */
  #idle: PromiseWithResolvers<void> | undefined;
  #closed: Promise<void> | undefined;

  private constructor(path: string, options: Required<RawFileOptions>, opened: OpenedFile) {
    const { file, transfers, geometry, canPunchHoles } = opened;
    this.path = path;
    this.readOnly = options.readOnly;
    this.#cache = options.cache;
    this.#file = file;
    this.#transfers = transfers;
    this.size = geometry.size;
    this.blockSize = geometry.blockSize;
    this.physicalBlockSize = geometry.physicalBlockSize;
    this.#canPunchHoles = canPunchHoles;
  }

  /**
   * Opens a raw image or a block device and locks it with flock(2): one writer, or any number of readers. The lock goes
   * with the process, however it ends.
   * @throws RawFileError (rejects): OPEN, NOT_A_DISK, SIZE, IN_USE, NO_DIRECT
   */
  static async open(path: string, { readOnly = false, cache = 'writeback' }: RawFileOptions = {}): Promise<RawFile> {
    const file = await openFile(path, readOnly, cache);
    try {
      const geometry = await geometryOf(file, path);
      lock(file, path, readOnly);
      const canPunch = !readOnly && (await canPunchHoles(file, geometry.size));
      const direct = cache === 'direct' ? await probeDirect(file, path, geometry) : undefined;
      return new RawFile(
        path,
        { readOnly, cache },
        {
          file,
          transfers: direct ?? cachedTransfers(file),
          geometry: direct === undefined ? geometry : inBlocksOf(direct.alignment, geometry),
          canPunchHoles: canPunch,
        },
      );
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get canDiscard(): boolean {
    return this.#canPunchHoles;
  }

  /** @throws RawFileError (rejects) TRUNCATED, UNALIGNED, CLOSED; Node's errors of preadv(2) */
  async read(offset: number, buffers: readonly Uint8Array[]): Promise<void> {
    await this.#track(async () => {
      this.#checkAligned(offset, buffers);
      let position = offset;
      for (let rest = buffers; rest.length > 0; ) {
        const bytesRead = await this.#transfers.read(rest, position);
        if (bytesRead === 0) {
          throw new RawFileError(
            'TRUNCATED',
            `the disk image ${this.path} ends at byte ${position} and had ${this.size}: leave its size alone while a VM runs`,
            { path: this.path, position },
          );
        }
        position += bytesRead;
        rest = this.#rest(rest, bytesRead);
      }
    });
  }

  /** @throws RawFileError (rejects) UNALIGNED, CLOSED; Node's errors of pwritev(2), ENOSPC for instance */
  async write(offset: number, buffers: readonly Uint8Array[]): Promise<void> {
    await this.#track(() => this.#writeAll(offset, buffers));
  }

  /** fdatasync(2). @throws RawFileError (rejects) CLOSED; Node's errors */
  async flush(): Promise<void> {
    await this.#track(() => this.#file.datasync());
  }

  /**
   * Gives space back to the file system. Where it turns out that it cannot, nothing happens: a discard is a permission.
   * @throws RawFileError (rejects) CLOSED; SystemError
   */
  async discard(offset: number, length: number): Promise<void> {
    await this.#track(async () => {
      if (await this.#tryToPunch(offset, length)) await this.#stabilise();
    });
  }

  /** By the file system where it can, by writing zeros where not. @throws RawFileError (rejects) CLOSED; SystemError */
  async writeZeroes(offset: number, length: number, mayDiscard: boolean): Promise<void> {
    await this.#track(async () => {
      if ((mayDiscard && (await this.#tryToPunch(offset, length))) || (await this.#tryToZero(offset, length))) {
        await this.#stabilise();
        return;
      }
      for (let done = 0; done < length; done += ZEROS.length) {
        this.#checkOpen();
        await this.#writeAll(offset + done, [ZEROS.subarray(0, Math.min(ZEROS.length, length - done))]);
      }
    });
  }

  /**
   * Waits for what is in flight, then closes the file and so gives its lock back. From then on no buffer that was passed
   * in is touched any more, so guest memory may be unmapped. New operations are refused at once.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  async #close(): Promise<void> {
    if (this.#inFlight > 0) {
      this.#idle = Promise.withResolvers();
      await this.#idle.promise;
    }
    if (this.#transfers instanceof DirectTransfers) this.#transfers[Symbol.dispose]();
    await this.#file.close();
  }

  /** O_DSYNC speaks of writes only: a range that was changed otherwise is written out here. */
  async #stabilise(): Promise<void> {
    if (this.#cache === 'sync') await this.#file.datasync();
  }

  async #track(operation: () => Promise<void>): Promise<void> {
    this.#checkOpen();
    this.#inFlight += 1;
    try {
      await operation();
    } finally {
      this.#inFlight -= 1;
      if (this.#inFlight === 0) this.#idle?.resolve();
    }
  }

  #checkOpen(): void {
    if (this.#closed === undefined) return;
    throw new RawFileError('CLOSED', `the disk image ${this.path} is closed`, { path: this.path });
  }

  /** Blocks that are written in part would have to be read before, with nobody else at them: a driver is told their size. */
  #checkAligned(offset: number, buffers: readonly Uint8Array[]): void {
    if (!(this.#transfers instanceof DirectTransfers)) return;
    const length = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    if (this.#transfers.isAligned(offset, length)) return;
    throw new RawFileError(
      'UNALIGNED',
      `${length} bytes at ${offset} of ${this.path} are no whole blocks of ${this.#transfers.alignment} bytes, which transfers past the host's page cache have to be: have the guest use its disk's logical block size, or use another cache mode`,
      { path: this.path, offset, length },
    );
  }

  async #writeAll(offset: number, buffers: readonly Uint8Array[]): Promise<void> {
    this.#checkAligned(offset, buffers);
    let position = offset;
    for (let rest = buffers; rest.length > 0; ) {
      const bytesWritten = await this.#transfers.write(rest, position);
      position += bytesWritten;
      rest = this.#rest(rest, bytesWritten);
    }
  }

  /** What a short transfer left. @throws RawFileError CLOSED when there is more to do and no time for it */
  #rest(buffers: readonly Uint8Array[], done: number): readonly Uint8Array[] {
    const rest = withoutStart(buffers, done);
    if (rest.length > 0) this.#checkOpen();
    return rest;
  }

  /** @returns whether the range reads as zeros now */
  async #tryToPunch(offset: number, length: number): Promise<boolean> {
    this.#canPunchHoles &&= await isSupported(() => punchHole(this.#fd, offset, length));
    return this.#canPunchHoles;
  }

  /** @returns whether the range reads as zeros now */
  async #tryToZero(offset: number, length: number): Promise<boolean> {
    this.#canZeroRanges &&= await isSupported(() => zeroRange(this.#fd, offset, length));
    return this.#canZeroRanges;
  }

  get #fd(): Fd {
    return this.#file.fd as Fd;
  }
}

/** What `RawFile.open` finds out. */
interface OpenedFile {
  readonly file: FileHandle;
  readonly transfers: Transfers;
  readonly geometry: Geometry;
  readonly canPunchHoles: boolean;
}

/** @throws RawFileError (rejects) OPEN, NO_DIRECT */
async function openFile(path: string, readOnly: boolean, cache: CacheMode): Promise<FileHandle> {
  const access = readOnly ? constants.O_RDONLY : constants.O_RDWR;
  try {
    // O_NONBLOCK means nothing to a disk; without it the open of a FIFO would wait for its other end.
    return await open(path, access | OPEN_FLAGS[cache] | constants.O_NONBLOCK);
  } catch (error) {
    // What open(2) says of a file system that does not know O_DIRECT.
    if (cache === 'direct' && error instanceof Error && 'code' in error && error.code === 'EINVAL') {
      throw noDirect(path, error);
    }
    throw new RawFileError(
      'OPEN',
      `cannot open the disk image ${path} ${readOnly ? 'for reading' : 'for reading and writing'}: ${messageOf(error)}`,
      { path, readOnly },
      { cause: error },
    );
  }
}

/** @throws RawFileError (rejects) NOT_A_DISK, SIZE */
async function geometryOf(file: FileHandle, path: string): Promise<Geometry> {
  const stat = await file.stat();
  const isBlockDevice = stat.isBlockDevice();
  if (!isBlockDevice && !stat.isFile()) {
    throw new RawFileError('NOT_A_DISK', `${path} is no disk image: name a regular file or a block device`, { path });
  }
  const size = isBlockDevice ? blockDeviceSize(file.fd as Fd) : stat.size;
  // A disk has whole sectors (virtio 1.3, 5.2.4). To round down would hide the last bytes from the guest, to round up would
  // make the file grow.
  if (size === 0 || size % SECTOR_SIZE !== 0) {
    throw new RawFileError(
      'SIZE',
      `the disk image ${path} has ${size} bytes, and a disk has a multiple of ${SECTOR_SIZE}: \`truncate -s %${SECTOR_SIZE}\` extends one that is not empty`,
      { path, size },
    );
  }
  const blockSize = isBlockDevice ? blockDeviceLogicalBlockSize(file.fd as Fd) : SECTOR_SIZE;
  // Up to a page: Linux' own file systems do not go beyond.
  const physicalBlockSize = Math.max(blockSize, stat.blksize % PAGE_SIZE === 0 ? PAGE_SIZE : SECTOR_SIZE);
  return { size, blockSize, physicalBlockSize };
}

function noDirect(path: string, cause?: Error): RawFileError {
  const message = `the file system of the disk image ${path} cannot pass by the host's page cache: use another cache mode`;
  return new RawFileError('NO_DIRECT', message, { path }, cause === undefined ? undefined : { cause });
}

/** @throws RawFileError (rejects) NO_DIRECT, SIZE */
async function probeDirect(file: FileHandle, path: string, { size }: Geometry): Promise<DirectTransfers> {
  const transfers = await DirectTransfers.probe(file);
  if (transfers === undefined) throw noDirect(path);
  const { alignment } = transfers;
  if (size % alignment === 0) return transfers;
  transfers[Symbol.dispose]();
  throw new RawFileError(
    'SIZE',
    `the disk image ${path} has ${size} bytes, and past the host's page cache it has blocks of ${alignment}: \`truncate -s %${alignment}\` extends it`,
    { path, size, alignment },
  );
}

function inBlocksOf(alignment: number, { size, blockSize, physicalBlockSize }: Geometry): Geometry {
  const larger = Math.max(blockSize, alignment);
  return { size, blockSize: larger, physicalBlockSize: Math.max(physicalBlockSize, larger) };
}

/** @throws RawFileError IN_USE */
function lock(file: FileHandle, path: string, readOnly: boolean): void {
  if (tryLock(file.fd as Fd, readOnly ? 'shared' : 'exclusive')) return;
  throw new RawFileError(
    'IN_USE',
    readOnly
      ? `the disk image ${path} is being written to by another VM or program: end it, or use a copy`
      : `the disk image ${path} is in use by another VM or program: end it, use a copy, or have all of them open it read-only`,
    { path, readOnly },
  );
}

/** Tries it behind the end of the file, where it changes nothing. */
async function canPunchHoles(file: FileHandle, size: number): Promise<boolean> {
  // A block device refuses that for its offset, and cannot be asked in a way that does no harm: it shows at the first use.
  if ((await file.stat()).isBlockDevice()) return true;
  return isSupported(() => punchHole(file.fd as Fd, size, SECTOR_SIZE));
}

/** @returns false when it failed for want of support */
async function isSupported(change: () => Promise<void>): Promise<boolean> {
  try {
    await change();
    return true;
  } catch (error) {
    if (error instanceof SystemError && error.code === 'EOPNOTSUPP') return false;
    throw error;
  }
}
