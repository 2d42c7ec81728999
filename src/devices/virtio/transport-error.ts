// What can go wrong with a device on its page of registers, beside what a driver gets wrong in a ring.
import { TskataError } from '../../lib/errors.ts';

export type TransportErrorCode =
  /** The driver stopped a queue of a running device without a reset, or set it up in a way that cannot be. */
  | 'QUEUE_SETUP'
  /** The back end needs the queues' eventfds, and the VMM gave none. */
  | 'NO_EVENT_FDS'
  /** The page or the configuration space has the wrong size. */
  | 'LAYOUT'
  /** A state is saved of a device at rest only, and restored to one that nobody has used. */
  | 'NOT_AT_REST'
  /** A snapshot is not of this device as it is now, or makes no sense. */
  | 'SNAPSHOT'
  /** The device had failed before the snapshot that it comes from. */
  | 'FAILED_BEFORE';

export class TransportError extends TskataError<TransportErrorCode> {}
