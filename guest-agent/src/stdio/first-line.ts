// What a connection is for: it says so in its first line.
import { decodeUtf8 } from 'tskata-sys';
import type { EventLoop, Pollable } from '../event-loop.ts';
import * as abi from '../linux/abi.gen.ts';
import { tryRead } from '../linux/file.ts';

/** How long a connection may take to say what it is for. */
const LINE_TIMEOUT_MS = 10_000;

/**
 * Reads up to the first line feed and nothing behind it. A connection that takes too long is closed.
 * @param maxBytes of the line, its line feed included. @returns undefined when there is none within the limits
 */
export async function readFirstLine(loop: EventLoop, socket: Pollable, maxBytes: number): Promise<string | undefined> {
  const cancel = loop.after(LINE_TIMEOUT_MS, () => socket.close());
  try {
    return await readLine(socket, maxBytes);
  } finally {
    cancel();
  }
}

async function readLine(socket: Pollable, maxBytes: number): Promise<string | undefined> {
  const line = new Uint8Array(maxBytes);
  // Byte by byte: what follows the line belongs to the stream.
  for (let filled = 0; filled < line.length && !socket.closed; ) {
    const length = tryRead(socket.fd, line.subarray(filled, filled + 1));
    if (length === -abi.EAGAIN) {
      await socket.readable();
      continue;
    }
    if (length <= 0) return undefined;
    if (line[filled] === 0x0a) return decodeUtf8(line.subarray(0, filled));
    filled += 1;
  }
  return undefined;
}
