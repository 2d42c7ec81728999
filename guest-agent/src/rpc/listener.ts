// Accepts connections, and makes the one to the host.
import { messageOf } from '../../../src/lib/errors.ts';
import type { EventLoop } from '../event-loop.ts';
import { Pollable } from '../event-loop.ts';
import * as abi from '../linux/abi.gen.ts';
import { isErrno, SystemError } from '../linux/call.ts';
import { close } from '../linux/file.ts';
import { type Address, accept, describe, listen, socketError, startConnect } from '../linux/socket.ts';
import { log } from '../log.ts';
import { mayConnect } from '../open-file-limit.ts';

/**
 * Listens on an address and hands every connection over, as a non-blocking socket.
 * On vsock only the host may connect: vsock has no network namespaces, so a process in a container could reach the
 * agent through the guest's own context id.
 * @param connectionsMax connections that may be with `handle` at once, until its promise settles; others are closed
 * @returns the socket; nobody is taken any more when it is closed
 */
export function serve(
  loop: EventLoop,
  address: Address,
  connectionsMax: number,
  handle: (fd: number) => Promise<void>,
): Pollable {
  return acceptOn(loop, listen(address), address, connectionsMax, handle);
}

/** The same on a socket that listens already, which it takes over. @param address for messages */
export function acceptOn(
  loop: EventLoop,
  socket: number,
  address: Address,
  connectionsMax: number,
  handle: (fd: number) => Promise<void>,
): Pollable {
  const listener = new Pollable(loop, socket);
  let connections = 0;
  const acceptOne = (): void => {
    const { fd, peerCid } = accept(listener.fd, describe(address));
    const refusal =
      peerCid !== undefined && peerCid !== abi.VMADDR_CID_HOST
        ? ` from context id ${peerCid}: only the host may connect`
        : connections >= connectionsMax
          ? `: there are ${connections} already`
          : mayConnect()
            ? undefined
            : ': too many files are open';
    if (refusal !== undefined) {
      log(`refused a connection to ${describe(address)}${refusal}`);
      close(fd);
      return;
    }
    connections += 1;
    void handle(fd).finally(() => {
      connections -= 1;
    });
  };
  const acceptAll = async (): Promise<void> => {
    while (!listener.closed) {
      try {
        acceptOne();
      } catch (error) {
        if (isErrno(error, abi.EAGAIN)) {
          await listener.readable();
        } else {
          // The peer may be gone already, or descriptors are short: that costs this connection only.
          log(messageOf(error));
          await loop.delay(ACCEPT_PAUSE_MS);
        }
      }
    }
  };
  void acceptAll();
  return listener;
}

/** Pause after a connection that could not be accepted. */
const ACCEPT_PAUSE_MS = 10;

/** Connects. @returns a non-blocking socket. @throws SystemError when there is nobody or no way */
export async function connect(loop: EventLoop, address: Address): Promise<number> {
  const fd = startConnect(address);
  await new Promise<void>((resolve) => {
    const id = loop.register(() => {
      loop.setInterest(id, fd, abi.EPOLLOUT, 0);
      loop.unregister(id);
      resolve();
    });
    loop.setInterest(id, fd, 0, abi.EPOLLOUT);
  });
  const errno = socketError(fd);
  if (errno === 0) return fd;
  close(fd);
  throw new SystemError('connect', describe(address), errno);
}
