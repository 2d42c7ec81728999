// Carries bytes from one descriptor to another, no faster than the receiver takes them.
import type { Pollable } from '../event-loop.ts';
import * as abi from '../linux/abi.gen.ts';
import { tryRead, tryWrite } from '../linux/file.ts';

/** Bytes taken from a source at once, and so held at most between the two: what a slow reader makes the guest keep. */
const PIECE_BYTES = 32 * 1024;
/** Fewer than this are not taken at once, however much is held. */
const PIECE_BYTES_MIN = 512;
/** What all relays together may hold but for those small pieces, bytes. */
const HELD_BYTES_MAX = 8 * 1024 * 1024;
/** Each takes at most this part of what may still be held, so that thousands of streams without readers never reach it. */
const SHARE = 64;

/** Where a piece is while it can be passed on in the same turn, as most can: relays that wait hold no memory. */
const scratch = new Uint8Array(PIECE_BYTES);
export const NOTHING = new Uint8Array(0);
let heldBytes = 0;

function pieceBytes(): number {
  return Math.max(PIECE_BYTES_MIN, Math.min(PIECE_BYTES, Math.floor((HELD_BYTES_MAX - heldBytes) / SHARE)));
}

export interface RelayOptions {
  /** Whether nothing more can come once the source is empty: asked each time it is. */
  readonly endsWhenEmpty: () => boolean;
  /** Sees all that passes, piece by piece, before it is written; the bytes are good during the call. */
  readonly passing?: (bytes: Uint8Array) => void;
}

/** How a relay ended: what the source had was delivered; or nobody reads any more, and this was taken from it in vain. */
export type RelayEnd = 'delivered' | Uint8Array;

/**
 * Copies until the source ends, or the target breaks where somebody watches that (`Pollable.watchBreak`).
 * Reads only while the target can take bytes, and once per turn of the event loop, so that nobody who writes without end
 * keeps the others waiting.
 */
export async function relay(source: Pollable, target: Pollable, options: RelayOptions): Promise<RelayEnd> {
  for (;;) {
    await target.writable();
    if (target.closed || target.broken) return NOTHING;
    if (source.closed) return 'delivered';
    const length = tryRead(source.fd, scratch.subarray(0, pieceBytes()));
    if (length === -abi.EAGAIN) {
      if (options.endsWhenEmpty()) return 'delivered';
      await source.readable();
      continue;
    }
    // A pseudo-terminal's master says EIO once every slave is closed: that is its end of file.
    if (length <= 0) return 'delivered';
    const piece = scratch.subarray(0, length);
    options.passing?.(piece);
    const left = await deliver(piece, target);
    if (left.length > 0) return left;
  }
}

/** Writes all of it, which may change once this has returned its promise. @returns what is left when nobody reads any more */
export async function deliver(bytes: Uint8Array, target: Pollable): Promise<Uint8Array> {
  const first = tryWrite(target.fd, bytes);
  if (first === bytes.length) return NOTHING;
  if (first < 0 && first !== -abi.EAGAIN) return bytes.slice();
  let rest = bytes.slice(Math.max(first, 0));
  const held = rest.length;
  heldBytes += held;
  try {
    while (rest.length > 0) {
      await target.writable();
      if (target.closed) return rest;
      const length = tryWrite(target.fd, rest);
      if (length >= 0) rest = rest.subarray(length);
      else if (length !== -abi.EAGAIN) return rest;
    }
    return NOTHING;
  } finally {
    heldBytes -= held;
  }
}
