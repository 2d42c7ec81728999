// Guest memory as a file of a snapshot: one byte of the file for each of RAM, with holes where the guest has zeros. The digest
// is over what is not zero, block by block, so that it does not depend on where a file system keeps holes.
import { readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { dataRanges, type FileRange } from '../ffi/fd.unsafe.ts';
import type { Fd } from '../lib/brand.ts';
import { KIB, MIB } from '../lib/units.ts';

/** What is skipped when it is all zeros, and digested with its place when it is not. */
const BLOCK_SIZE = 64 * KIB;
const CHUNK_SIZE = 4 * MIB;
const ZEROS = Buffer.alloc(BLOCK_SIZE);

/** A digest of memory that is built up in the order of addresses. */
class MemoryDigest {
  #crc = 0;

  /** @param offset of the block in the file, a multiple of the block size */
  add(offset: number, block: Uint8Array): void {
    const place = Buffer.alloc(8);
    place.writeBigUInt64LE(BigInt(offset));
    this.#crc = crc32(block, crc32(place, this.#crc));
  }

  get hex(): string {
    return this.#crc.toString(16).padStart(8, '0');
  }
}

function isZero(block: Uint8Array): boolean {
  return ZEROS.compare(block, 0, block.length, 0, block.length) === 0;
}

/** The ranges, widened to whole blocks, without overlap, cut into chunks. */
function* chunks(ranges: Iterable<FileRange>, size: number): Generator<FileRange> {
  let done = 0;
  for (const { offset, length } of ranges) {
    const start = Math.max(offset - (offset % BLOCK_SIZE), done);
    const end = Math.min(Math.ceil((offset + length) / BLOCK_SIZE) * BLOCK_SIZE, size);
    for (let at = start; at < end; at += CHUNK_SIZE) yield { offset: at, length: Math.min(CHUNK_SIZE, end - at) };
    done = Math.max(done, end);
  }
}

/** The blocks of a chunk that are not zero. */
function* filledBlocks(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += BLOCK_SIZE) {
    const block = bytes.subarray(at, at + BLOCK_SIZE);
    if (!isZero(block)) yield block;
  }
}

/** Parts of a chunk: its blocks that are not zero, neighbours joined. */
function joinNeighbours(blocks: Iterable<Uint8Array>, bytes: Uint8Array): FileRange[] {
  const joined: { offset: number; length: number }[] = [];
  for (const { byteOffset, length } of blocks) {
    const offset = byteOffset - bytes.byteOffset;
    const last = joined.at(-1);
    if (last !== undefined && last.offset + last.length === offset) last.length += length;
    else joined.push({ offset, length });
  }
  return joined;
}

/** Guest memory that is written: contiguous in the file, and perhaps a memfd that knows which pages were ever touched. */
export interface MemorySource {
  readonly bytes: Uint8Array;
  /** The file whose holes are the memory's, when there is one. */
  readonly fd?: Fd;
  /** What of the memory is in use, in order; the rest is left out. Absent: all of it. */
  readonly ranges?: Iterable<FileRange>;
}

/**
 * Writes memory to an empty file.
 * @param signal gives up between two chunks; the memory is not touched any more then
 * @returns the digest
 * @throws Node's errors of write(2), ENOSPC for instance, and the signal's reason (rejects)
 */
export async function writeMemoryFile(
  file: FileHandle,
  sources: readonly MemorySource[],
  signal?: AbortSignal,
): Promise<string> {
  const digest = new MemoryDigest();
  let base = 0;
  for (const { bytes, fd, ranges = [{ offset: 0, length: bytes.length }] } of sources) {
    // Pages of a memfd that were never touched would be taken by being read.
    for (const chunk of chunks(fd === undefined ? ranges : dataRanges(fd, bytes.length), bytes.length)) {
      const part = bytes.subarray(chunk.offset, chunk.offset + chunk.length);
      const blocks = [...filledBlocks(part)];
      for (const block of blocks) digest.add(base + chunk.offset + block.byteOffset - part.byteOffset, block);
      for (const { offset, length } of joinNeighbours(blocks, part)) {
        await writeAll(file, part.subarray(offset, offset + length), base + chunk.offset + offset);
      }
      signal?.throwIfAborted();
    }
    base += bytes.length;
  }
  await file.truncate(base);
  return digest.hex;
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/** The memory, zeroed, that is to get these bytes of the file. */
export type MemoryTarget = (offset: number, length: number) => Uint8Array;

/**
 * Reads what is in a part of a memory file.
 * @throws Node's errors of read(2)
 */
export function readMemoryFile(fd: Fd, part: FileRange, target: MemoryTarget): void {
  const end = part.offset + part.length;
  for (const { offset, length } of chunks(clip(dataRanges(fd, end), part.offset), end)) {
    readFully(fd, target(offset, length), offset);
  }
}

/** The ranges from `start` on. */
function* clip(ranges: Iterable<FileRange>, start: number): Generator<FileRange> {
  for (const { offset, length } of ranges) {
    const from = Math.max(offset, start);
    if (offset + length > from) yield { offset: from, length: offset + length - from };
  }
}

/** The digest of a memory file of `size` bytes. @throws Node's errors of read(2) */
export function digestMemoryFile(fd: Fd, size: number): string {
  const digest = new MemoryDigest();
  const buffer = new Uint8Array(CHUNK_SIZE);
  for (const { offset, length } of chunks(dataRanges(fd, size), size)) {
    const bytes = buffer.subarray(0, length);
    readFully(fd, bytes, offset);
    for (const block of filledBlocks(bytes)) digest.add(offset + block.byteOffset - bytes.byteOffset, block);
  }
  return digest.hex;
}

function readFully(fd: Fd, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    const count = readSync(fd, bytes, done, bytes.length - done, position + done);
    if (count === 0) throw new RangeError(`the memory file ends at byte ${position + done}`);
    done += count;
  }
}
