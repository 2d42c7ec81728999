// What the two directions of a network device share: the wire, and the account of what went over it.
import type { RateLimiter } from '../rate-limiter.ts';
import type { PacketBackend } from './backend.ts';

/** Counts of frames, and of their bytes without the header in front. */
export interface Counters {
  packets: number;
  bytes: number;
  dropped: number;
}

export interface Direction {
  readonly counters: Counters;
  /** Undefined: no limit. */
  readonly limiter: RateLimiter | undefined;
}

export interface Link {
  /** Undefined while nobody is at the other end. */
  readonly backend: PacketBackend | undefined;
  readonly isUp: boolean;
  /** The largest frame that the network may have for the driver, bytes. */
  readonly maxFrameSize: number;
  /** From the network to the guest. */
  readonly receive: Direction;
  /** From the guest to the network. */
  readonly transmit: Direction;
  /** The back end failed: the link goes down, and stays down. */
  lose(error: unknown): void;
}
