// Unix sockets that this process listens on by a path: their owner's alone, and in the place of one that a dead process left.
import { lstatSync, rmSync, type Stats } from 'node:fs';
import { connect, createServer, type Server, type ServerOpts, type Socket } from 'node:net';
import { messageOf, TskataError } from '../lib/errors.ts';

/** Nobody but the owner may connect: connecting needs the right to write (unix(7)). */
const UMASK = 0o177;
/** sun_path of struct sockaddr_un holds 108 bytes, one of them the final zero (unix(7)). */
const MAXIMUM_SOCKET_PATH = 107;

export type UnixListenerErrorCode =
  /** Longer than struct sockaddr_un takes. */
  | 'PATH_TOO_LONG'
  /** Another process listens there. */
  | 'IN_USE'
  /** Something that is no socket is there. */
  | 'NOT_A_SOCKET'
  /** The socket cannot be made. */
  | 'LISTEN';

/** A socket cannot be had at a path. The message names it and says what to do. */
export class UnixListenerError extends TskataError<UnixListenerErrorCode> {}

/** @param suffixLength bytes that other sockets of the same name have more @throws UnixListenerError PATH_TOO_LONG */
export function checkSocketPath(path: string, suffixLength = 0): void {
  const maximum = MAXIMUM_SOCKET_PATH - suffixLength;
  if (Buffer.byteLength(path) <= maximum) return;
  const message = `the socket path ${path} is too long: use one of at most ${maximum} bytes`;
  throw new UnixListenerError('PATH_TOO_LONG', message, { path });
}

function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

/** Whether somebody listens. Whoever refuses for another reason than being dead counts as alive. */
function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    const answer = (alive: boolean): void => {
      probe.destroy();
      resolve(alive);
    };
    probe.once('connect', () => answer(true));
    probe.once('error', (error: NodeJS.ErrnoException) =>
      answer(!['ECONNREFUSED', 'ENOENT'].includes(error.code ?? '')),
    );
  });
}

/** Removes a socket behind which nobody is. @throws UnixListenerError IN_USE, NOT_A_SOCKET (rejects) */
async function clear(path: string): Promise<void> {
  const found = statOf(path);
  if (found === undefined) return;
  if (!found.isSocket()) {
    const message = `cannot listen on ${path}: there is something that is no socket; name another path`;
    throw new UnixListenerError('NOT_A_SOCKET', message, { path });
  }
  const alive = await isAlive(path);
  // Another process may have put its own there meanwhile.
  if (alive || statOf(path)?.ino !== found.ino) {
    const message = `cannot listen on ${path}: another process, perhaps another VM's, listens there; name another path`;
    throw new UnixListenerError('IN_USE', message, { path });
  }
  rmSync(path, { force: true });
}

/**
 * Listens on a socket of mode 0600. The file goes when the server is closed.
 * @throws UnixListenerError PATH_TOO_LONG, IN_USE, NOT_A_SOCKET, LISTEN (rejects)
 */
export async function listenOwnerOnly(
  path: string,
  options: ServerOpts,
  onConnection: (socket: Socket) => void,
): Promise<Server> {
  checkSocketPath(path);
  const server = createServer(options, onConnection);
  const failed = (cause: unknown): UnixListenerError =>
    new UnixListenerError(
      'LISTEN',
      `cannot listen on ${path}: ${messageOf(cause)}; its folder must be there and writable`,
      { path },
      { cause },
    );
  try {
    await clear(path);
  } catch (error) {
    throw error instanceof UnixListenerError ? error : failed(error);
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(failed(cause)));
    // The socket is made before listen() returns, so no other file of this process is made with this mask.
    const before = process.umask(UMASK);
    try {
      server.listen(path, resolve);
    } finally {
      process.umask(before);
    }
  });
  // Later errors concern one accept(2), of too many open files for instance: that client sees its connection closed.
  server.removeAllListeners('error');
  server.on('error', () => {});
  // An end at once, by process.exit(), closes no servers.
  const remove = (): void => rmSync(path, { force: true });
  process.once('exit', remove);
  server.once('close', () => process.off('exit', remove));
  return server;
}
