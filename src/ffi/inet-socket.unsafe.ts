// Sockets of IPv4 that Node does not open itself: it would do so later, when the thread is in another network namespace again.
import { AF_INET, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_STREAM } from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { OwnedFd } from './fd.unsafe.ts';
import { libcFunction } from './koffi.unsafe.ts';

const socket = libcFunction<[number, number, number], number>('int socket(int domain, int type, int protocol)');

/** A socket of the network namespace that this thread is in, neither bound nor connected. @throws SystemError */
export function openInetSocket(protocol: 'udp' | 'tcp'): OwnedFd {
  const type = protocol === 'udp' ? SOCK_DGRAM : SOCK_STREAM;
  return new OwnedFd(check(socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), 'socket', protocol));
}
