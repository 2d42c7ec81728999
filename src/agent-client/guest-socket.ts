// A connection to a port of the guest, through the Unix socket of its vsock: `CONNECT <port>` is answered by `OK <port>`.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { AGENT_LOOPBACK_PORT } from '../protocol/agent-service.ts';

/** What the guest gets to accept, milliseconds. */
const ACCEPT_TIMEOUT_MS = 5000;
const MAX_ANSWER = 16;

/**
 * Connects to a port of the guest.
 * @param path of the vsock's Unix socket
 * @throws Error when there is no VM, or nobody in the guest listens on that port (rejects)
 */
export async function connectToGuest(path: string, port: number): Promise<Socket> {
  const refusal = `nobody in the guest listens on vsock port ${port}`;
  return await ask(connect({ path, allowHalfOpen: true }), `CONNECT ${port}\n`, /^OK [0-9]+\n$/, refusal);
}

/**
 * Connects to a TCP port of the guest's loopback, by way of the agent.
 * @param path of the vsock's Unix socket
 * @throws Error when there is no VM, or nobody in the guest listens on that port (rejects)
 */
export async function connectToLoopback(path: string, port: number): Promise<Socket> {
  const refusal = `nobody in the guest listens on port ${port} of its loopback`;
  return await ask(await connectToGuest(path, AGENT_LOOPBACK_PORT), `${port}\n`, /^OK\n$/, refusal);
}

/**
 * Says what a connection is for, and waits for the line that grants it.
 * @returns the connection
 * @throws Error with `refusal` when the answer is another (rejects); the connection is closed then
 */
async function ask(socket: Socket, line: string, granted: RegExp, refusal: string): Promise<Socket> {
  const signal = AbortSignal.timeout(ACCEPT_TIMEOUT_MS);
  try {
    if (socket.connecting) await once(socket, 'connect', { signal });
    socket.write(line);
    if (!granted.test(await readLine(socket, signal))) throw new Error(refusal);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** One byte at a time: what follows the line belongs to the stream. @returns what came before the end, if that came first */
async function readLine(socket: Socket, signal: AbortSignal): Promise<string> {
  let line = '';
  let hasEnded = false;
  socket.once('end', () => {
    hasEnded = true;
  });
  while (!line.endsWith('\n') && line.length < MAX_ANSWER && !hasEnded) {
    const byte: Buffer | null = socket.read(1);
    if (byte === null) await Promise.race([once(socket, 'readable', { signal }), once(socket, 'end', { signal })]);
    else line += byte.toString('latin1');
  }
  return line;
}
