// One buffer of a virtqueue: a chain of descriptors as two scatter lists. The lists were validated when the chain was
// taken; the bytes behind them stay shared with the guest, so what is to be judged is copied first (`copy`).
import { QueueError } from './queue-error.ts';

/** Pieces of guest memory that are read or written as if they were one. */
export class ScatterList {
  readonly segments: readonly Uint8Array[];
  /** Bytes of all segments. */
  readonly length: number;

  constructor(segments: readonly Uint8Array[]) {
    this.segments = segments;
    let length = 0;
    for (const segment of segments) length += segment.length;
    this.length = length;
  }

  /** A copy of `length` bytes from `offset` on, which the guest cannot change any more. @throws QueueError BUFFER_LAYOUT */
  copy(offset: number, length: number): Uint8Array {
    const copied = new Uint8Array(this.#checked(offset, length));
    let done = 0;
    this.#forEach(offset, length, (piece) => {
      copied.set(piece, done);
      done += piece.length;
    });
    return copied;
  }

  /** Writes the bytes at `offset`. @throws QueueError BUFFER_LAYOUT */
  write(offset: number, bytes: Uint8Array): void {
    let done = 0;
    this.#forEach(offset, this.#checked(offset, bytes.length), (piece) => {
      piece.set(bytes.subarray(done, done + piece.length));
      done += piece.length;
    });
  }

  /** Writes `length` zeros at `offset`. @throws QueueError BUFFER_LAYOUT */
  fillZero(offset: number, length: number): void {
    this.#forEach(offset, this.#checked(offset, length), (piece) => piece.fill(0));
  }

  /** `length` bytes from `offset` on as a list of their own: the same bytes, no copy. @throws QueueError BUFFER_LAYOUT */
  part(offset: number, length: number): ScatterList {
    const segments: Uint8Array[] = [];
    this.#forEach(offset, this.#checked(offset, length), (piece) => segments.push(piece));
    return new ScatterList(segments);
  }

  #checked(offset: number, length: number): number {
    if (offset < 0 || length < 0 || offset + length > this.length) {
      throw new QueueError('BUFFER_LAYOUT', `a buffer of ${this.length} bytes has no ${length} bytes at ${offset}`, {
        offset,
        length,
        available: this.length,
      });
    }
    return length;
  }

  #forEach(offset: number, length: number, visit: (piece: Uint8Array) => void): void {
    let skip = offset;
    let left = length;
    for (const segment of this.segments) {
      if (left === 0) return;
      if (skip >= segment.length) {
        skip -= segment.length;
        continue;
      }
      const piece = segment.subarray(skip, Math.min(segment.length, skip + left));
      visit(piece);
      left -= piece.length;
      skip = 0;
    }
  }
}

/** A descriptor chain that the driver made available and the device has not yet returned. */
export interface Chain {
  /** Index of its first descriptor: what the used ring names it by. */
  readonly head: number;
  /** What the device may read; it comes before the writable part (virtio 1.3, 2.7.4.2). */
  readonly readable: ScatterList;
  /** What the device may write. */
  readonly writable: ScatterList;
}
