// Carries bytes from one descriptor to another, no faster than the receiver takes them.
import type { Pollable } from '../event-loop.ts';
import * as abi from '../linux/abi.gen.ts';
import { tryRead, tryWrite } from '../linux/file.ts';

/** Bytes held at most between the two: what a slow reader makes the guest keep. */
const BUFFER_BYTES = 32 * 1024;

export interface RelayOptions {
  /** Whether nothing more can come once the source is empty: asked each time it is. */
  readonly endsWhenEmpty: () => boolean;
}

/**
 * Copies until the source ends. Reads only while the target can take bytes, and once per turn of the event loop, so that
 * nobody who writes without end keeps the others waiting.
 * @returns 'source' when the source ended or broke, and all of it was delivered; 'target' when nobody reads any more
 */
export async function relay(source: Pollable, target: Pollable, options: RelayOptions): Promise<'source' | 'target'> {
  const buffer = new Uint8Array(BUFFER_BYTES);
  for (;;) {
    await target.writable();
    if (target.closed) return 'target';
    if (source.closed) return 'source';
    const length = tryRead(source.fd, buffer);
    if (length === -abi.EAGAIN) {
      if (options.endsWhenEmpty()) return 'source';
      await source.readable();
      continue;
    }
    // A pseudo-terminal's master says EIO once every slave is closed: that is its end of file.
    if (length <= 0) return 'source';
    if (!(await deliver(buffer.subarray(0, length), target))) return 'target';
  }
}

async function deliver(bytes: Uint8Array, target: Pollable): Promise<boolean> {
  for (let rest = bytes; rest.length > 0; ) {
    if (target.closed) return false;
    const length = tryWrite(target.fd, rest);
    if (length === -abi.EAGAIN) await target.writable();
    else if (length < 0) return false;
    else rest = rest.subarray(length);
  }
  return true;
}
