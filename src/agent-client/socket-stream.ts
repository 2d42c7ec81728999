// The transport of ttrpc over Node's sockets.
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import type { ByteStream, Timers } from '../protocol/byte-stream.ts';

/** The connection behind a socket. It owns the socket from now on. */
export function socketStream(socket: Socket): ByteStream {
  const chunks = socket[Symbol.asyncIterator]();
  let closed = false;
  // The iterator reports errors where they matter; without a listener a late one would end the process.
  socket.on('error', () => {});
  return {
    async read() {
      try {
        const next = await chunks.next();
        return next.done === true || closed ? undefined : (next.value as Uint8Array);
      } catch (error) {
        if (closed) return undefined;
        throw error;
      }
    },
    write(bytes) {
      return new Promise((resolve, reject) => {
        socket.write(bytes, (error) => (error ? reject(error) : resolve()));
      });
    },
    close() {
      closed = true;
      socket.destroy();
    },
  };
}

export const nodeTimers: Timers = {
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};

/**
 * Connects to a Unix socket however long its path is: sockaddr_un holds 107 bytes, and state directories of engines get
 * longer, so the folder is opened and named by its descriptor.
 * @throws the connection's error: ENOENT, ECONNREFUSED
 */
export async function connectUnix(path: string): Promise<Socket> {
  const folder = openSync(dirname(path), 'r');
  try {
    const socket = connect(`/proc/self/fd/${folder}/${basename(path)}`);
    await once(socket, 'connect');
    return socket;
  } finally {
    closeSync(folder);
  }
}
