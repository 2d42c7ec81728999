// Sockets of rtnetlink(7).
import { constants } from 'node:os';
import type { Fd } from '../lib/brand.ts';
import { DATAGRAM_MAX, type NetlinkTransport } from '../netlink/session.ts';
import {
  AF_NETLINK,
  MSG_DONTWAIT,
  MSG_TRUNC,
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_ROUTE,
  RTMGRP_IPV4_IFADDR,
  RTMGRP_IPV4_ROUTE,
  RTMGRP_IPV6_IFADDR,
  RTMGRP_IPV6_ROUTE,
  RTMGRP_LINK,
  SO_RCVTIMEO,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_NETLINK,
  SOL_SOCKET,
  sockaddr_nl,
} from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { OwnedFd } from './fd.unsafe.ts';
import { lastErrno, libcFunction, type Pointer } from './koffi.unsafe.ts';
import { errnoName, SystemError } from './system-error.ts';

const socket = libcFunction<[number, number, number], number>('int socket(int domain, int type, int protocol)');
const bind = libcFunction<[number, Pointer, number], number>('int bind(int fd, void *address, uint length)');
const setsockopt = libcFunction<[number, number, number, Pointer, number], number>(
  'int setsockopt(int fd, int level, int option, void *value, uint length)',
);
const send = libcFunction<[number, Pointer, number, number], number>(
  'int64_t send(int fd, void *data, size_t length, int flags)',
);
const recv = libcFunction<[number, Pointer, number, number], number>(
  'int64_t recv(int fd, void *data, size_t length, int flags)',
);

/** The kernel answers at once: it is only asked what it knows. Seconds. */
const TIMEOUT_S = 5n;
/** What a network consists of, as far as a VM follows it. */
const CHANGES = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;

function open(): OwnedFd {
  return new OwnedFd(check(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), 'socket', 'netlink'));
}

/** Requests about the network namespace in which it was opened. */
export class NetlinkSocket implements NetlinkTransport {
  readonly #owned: OwnedFd;

  /** @throws SystemError */
  constructor() {
    using resources = new DisposableStack();
    this.#owned = resources.use(open());
    for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK]) this.#set(SOL_NETLINK, option, Int32Array.of(1));
    this.#set(SOL_SOCKET, SO_RCVTIMEO, BigInt64Array.of(TIMEOUT_S, 0n));
    resources.move();
  }

  close(): void {
    this.#owned[Symbol.dispose]();
  }

  /** @throws SystemError */
  send(datagram: Uint8Array, subject: string): void {
    // A socket without an address of its own and a message without a destination: to the kernel.
    check(send(this.#owned.fd, datagram, datagram.length, 0), 'send', subject);
  }

  /** @throws SystemError */
  receive(subject: string): Uint8Array {
    const buffer = new Uint8Array(DATAGRAM_MAX);
    for (;;) {
      const length = recv(this.#owned.fd, buffer, buffer.length, MSG_TRUNC);
      if (length > buffer.length) throw new SystemError('recv', constants.errno.EMSGSIZE, subject);
      if (length >= 0) return buffer.slice(0, length);
      if (errnoName(lastErrno()) !== 'EINTR') check(length, 'recv', subject);
    }
  }

  refusal(subject: string, errno: number, explanation: string): Error {
    return new SystemError('netlink', errno, subject, explanation === '' ? undefined : explanation);
  }

  #set(level: number, option: number, value: Int32Array | BigInt64Array): void {
    const bytes = new Uint8Array(value.buffer);
    check(setsockopt(this.#owned.fd, level, option, bytes, bytes.length), 'setsockopt', 'netlink');
  }
}

/** Readable when interfaces, addresses or routes have changed in the network namespace in which it was opened. */
export class NetlinkMonitor implements Disposable {
  readonly #owned: OwnedFd;

  /** @throws SystemError */
  constructor() {
    using resources = new DisposableStack();
    this.#owned = resources.use(open());
    const address = new Uint8Array(sockaddr_nl.sizeof);
    const view = new DataView(address.buffer);
    view.setUint16(sockaddr_nl.nl_family, AF_NETLINK, true);
    view.setUint32(sockaddr_nl.nl_groups, CHANGES, true);
    check(bind(this.#owned.fd, address, address.length), 'bind', 'netlink');
    resources.move();
  }

  /** For `watchFd`. */
  get fd(): Fd {
    return this.#owned.fd;
  }

  /** Forgets all that was told. */
  drain(): void {
    const buffer = new Uint8Array(DATAGRAM_MAX);
    // An error as well: when too much was told at once (ENOBUFS), something has changed all the same.
    while (recv(this.fd, buffer, buffer.length, MSG_DONTWAIT) >= 0 || errnoName(lastErrno()) === 'ENOBUFS');
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}
