// What a driver can get wrong in a ring.
import { type ErrorDetails, TskataError } from '../../lib/errors.ts';

export type QueueErrorCode =
  /** The size is no power of two, zero, or above what the device offers. */
  | 'QUEUE_SIZE'
  /** A part of the ring is misaligned or not inside RAM. */
  | 'RING_ADDRESS'
  /** More was made available than the ring has room for. */
  | 'AVAILABLE_INDEX'
  /** A descriptor index is not below the size of its table. */
  | 'DESCRIPTOR_INDEX'
  /** A buffer is empty or not inside RAM. */
  | 'DESCRIPTOR_BUFFER'
  /** A chain is longer than the queue size (so is every loop) or longer than 2^32 - 1 bytes. */
  | 'CHAIN_LENGTH'
  /** A device-readable descriptor follows a device-writable one. */
  | 'DESCRIPTOR_ORDER'
  /** An indirect table that was not negotiated, is nested, is followed by `next`, or has no whole number of descriptors. */
  | 'INDIRECT_TABLE'
  /** A buffer is too small, or of the wrong direction, for what its queue is for. */
  | 'BUFFER_LAYOUT';

/** A virtqueue, or a buffer in it, that breaks the rules: the device needs a reset, the host goes on. */
export class QueueError extends TskataError<QueueErrorCode> {
  constructor(code: QueueErrorCode, what: string, details: ErrorDetails = {}) {
    super(code, `the driver broke the rules of a virtqueue: ${what}; the device needs a reset`, details);
  }
}
