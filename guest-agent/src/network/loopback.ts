// Connections of the host to TCP ports of the guest's loopback: what programs of the host reach at 127.0.0.1 in the container's
// network namespace, where the container itself is not.
import { encodeUtf8 } from 'tskata-sys';
import { type EventLoop, Pollable } from '../event-loop.ts';
import { SystemError } from '../linux/call.ts';
import { endOutput } from '../linux/socket.ts';
import { connect } from '../rpc/listener.ts';
import { readFirstLine } from '../stdio/first-line.ts';
import { deliver, relay } from '../stdio/relay.ts';

/** Connections that there may be at once. */
export const LOOPBACK_CONNECTIONS_MAX = 256;
/** "65535" and a line feed. */
const LINE_BYTES_MAX = 6;
const PORT = /^[1-9][0-9]{0,4}$/;
const PORT_MAX = 65_535;
const ADDRESSES = [
  { family: 'inet', address: '127.0.0.1' },
  { family: 'inet6', address: '::1' },
] as const;
const ACCEPTED = encodeUtf8('OK\n');

/** Handles a new connection of the host: a non-blocking socket, which it owns from here on. Settles when it has ended. */
export async function joinLoopback(loop: EventLoop, fd: number): Promise<void> {
  const host = new Pollable(loop, fd);
  try {
    const line = (await readFirstLine(loop, host, LINE_BYTES_MAX)) ?? '';
    if (!PORT.test(line) || Number(line) > PORT_MAX) return;
    const accepted = await connectLoopback(loop, Number(line));
    if (accepted === undefined) return;
    const guest = new Pollable(loop, accepted);
    try {
      if ((await deliver(ACCEPTED, host)).length === 0) await carry(host, guest);
    } finally {
      guest.close();
    }
  } finally {
    host.close();
  }
}

/** Whoever listens at either address gets it, IPv4 first, as "localhost" does. @returns undefined when nobody does */
async function connectLoopback(loop: EventLoop, port: number): Promise<number | undefined> {
  for (const address of ADDRESSES) {
    try {
      return await connect(loop, { ...address, port });
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
    }
  }
  return undefined;
}

/** Both directions, until both have ended or either end is gone. */
async function carry(host: Pollable, guest: Pollable): Promise<void> {
  host.watchBreak(() => guest.wakeReader());
  guest.watchBreak(() => host.wakeReader());
  const direction = async (source: Pollable, target: Pollable): Promise<void> => {
    const end = await relay(source, target, { endsWhenEmpty: () => target.broken });
    if (end === 'delivered') endOutput(target.fd);
    // Nobody reads any more: what the other end still has to say has lost its reader too, or ends by itself.
    else source.close();
  };
  await Promise.all([direction(host, guest), direction(guest, host)]);
}
