// What the block device needs of the host: bytes at offsets, read and written in the guest's own memory.

/**
 * Storage of a fixed size. Operations run at the same time and finish in any order; each rejects when the storage failed.
 * The device asks for ranges inside `size` only, cut into pieces of bounded length, and for nothing that changes a
 * read-only one.
 */
export interface BlockBackend {
  /** Bytes: a multiple of 512. */
  readonly size: number;
  readonly readOnly: boolean;
  /** The smallest unit that is read and written well, bytes: a power of two, at least 512. */
  readonly blockSize: number;
  /** What the storage below writes at a time, bytes: a power of two, at least `blockSize`. */
  readonly physicalBlockSize: number;
  /** Whether space can be given back. */
  readonly canDiscard: boolean;
  /** Fills all of the buffers, one after the other, with the bytes from `offset` on. */
  read(offset: number, buffers: readonly Uint8Array[]): Promise<void>;
  /** Writes all of the buffers, one after the other, from `offset` on. */
  write(offset: number, buffers: readonly Uint8Array[]): Promise<void>;
  /** What was written before survives a crash of the host once this has settled. */
  flush(): Promise<void>;
  /** The contents of the range are not needed any more. */
  discard(offset: number, length: number): Promise<void>;
  /** The range reads as zeros from now on. @param mayDiscard whether its space may be given back */
  writeZeroes(offset: number, length: number, mayDiscard: boolean): Promise<void>;
}
