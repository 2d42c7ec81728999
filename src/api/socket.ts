// The Unix socket of the API: its owner's alone, and in the place of one that a dead process left.
import { lstatSync, rmSync, type Stats } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { messageOf } from '../lib/errors.ts';
import { ApiError, checkSocketPath } from './api-error.ts';

/** Nobody but the owner may connect: connecting needs the right to write (unix(7)). */
const UMASK = 0o177;
/** Connections at once; further ones are closed. */
const MAXIMUM_CONNECTIONS = 64;

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

/** Removes a socket behind which nobody is. @throws ApiError IN_USE, NOT_A_SOCKET (rejects) */
async function clear(path: string): Promise<void> {
  const found = statOf(path);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new ApiError(
      'NOT_A_SOCKET',
      `cannot listen on ${path}: there is something that is no socket; name another path`,
      {
        path,
      },
    );
  }
  const alive = await isAlive(path);
  // Another process may have put its own there meanwhile.
  if (alive || statOf(path)?.ino !== found.ino) {
    throw new ApiError('IN_USE', `cannot listen on ${path}: another VM serves its API there; name another path`, {
      path,
    });
  }
  rmSync(path, { force: true });
}

/**
 * Listens on a socket of mode 0600. The file goes when the server is closed.
 * @throws ApiError PATH_TOO_LONG, IN_USE, NOT_A_SOCKET, LISTEN (rejects)
 */
export async function listenOwnerOnly(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  checkSocketPath(path);
  const server = createServer(onConnection);
  server.maxConnections = MAXIMUM_CONNECTIONS;
  const failed = (cause: unknown): ApiError =>
    new ApiError(
      'LISTEN',
      `cannot listen on ${path}: ${messageOf(cause)}; its folder must be there and writable`,
      { path },
      { cause },
    );
  try {
    await clear(path);
  } catch (error) {
    throw error instanceof ApiError ? error : failed(error);
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
