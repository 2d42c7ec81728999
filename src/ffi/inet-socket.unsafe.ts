// Sockets of IPv4 that Node does not open itself: it would do so later, when the thread is in another network namespace again.

import type { Fd } from '../lib/brand.ts';
import { AF_INET, sockaddr_in as layout, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM } from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { OwnedFd } from './fd.unsafe.ts';
import { libcFunction, type Pointer } from './koffi.unsafe.ts';

const socket = libcFunction<[number, number, number], number>('int socket(int domain, int type, int protocol)');

const bind = libcFunction<[number, Pointer, number], number>('int bind(int fd, const void *address, uint length)');

/** INADDR_ANY */
const ANY = 0;

/** Gives a socket an address and a port that is free (ip(7)). @param address in network byte order. @throws SystemError */
export function bindInet(fd: Fd, address: number): void {
  const bytes = new Uint8Array(layout.sizeof);
  const view = new DataView(bytes.buffer);
  view.setUint16(layout.sin_family, AF_INET, true);
  view.setUint32(layout.sin_addr, address, true);
  check(bind(fd, bytes, bytes.length), 'bind', 'inet');
}

/**
 * A socket of the network namespace that this thread is in, not connected. One for datagrams has a port that no other has: Node
 * sets SO_REUSEADDR on what it is given, and two of its sockets with one port would take each other's answers.
 * @throws SystemError
 */
export function openInetSocket(protocol: 'udp' | 'tcp'): OwnedFd {
  const type = protocol === 'udp' ? SOCK_DGRAM : SOCK_STREAM;
  const opened = new OwnedFd(check(socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), 'socket', protocol));
  if (protocol === 'tcp') return opened;
  using owned = new DisposableStack();
  owned.use(opened);
  bindInet(opened.fd, ANY);
  owned.move();
  return opened;
}
