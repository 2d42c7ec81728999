// Sockets: vsock in a guest, Unix sockets where the agent runs without one; IP for what the guest's programs and the agent ask each other.
import { encodeUtf8 } from 'tskata-sys';
import { parseIp } from '../../../src/netlink/ip.ts';
import * as abi from './abi.gen.ts';
import { call, structure, tryCall } from './call.ts';

/** Where a socket is. */
export type Address =
  | { readonly family: 'vsock'; readonly cid: number; readonly port: number }
  | { readonly family: 'unix'; readonly path: string }
  /** Port 0 to listen on one that is free. */
  | { readonly family: 'inet'; readonly address: string; readonly port: number }
  | { readonly family: 'inet6'; readonly address: string; readonly port: number };

const FAMILIES = { vsock: abi.AF_VSOCK, unix: abi.AF_UNIX, inet: abi.AF_INET, inet6: abi.AF_INET6 } as const;

export function describe(address: Address): string {
  if (address.family === 'unix') return address.path;
  return address.family === 'vsock' ? `vsock ${address.cid}:${address.port}` : `${address.address}:${address.port}`;
}

function encode(address: Address): Uint8Array {
  if (address.family === 'vsock') {
    const { bytes, view } = structure(abi.SIZEOF_sockaddr_vm);
    view.setUint16(0, abi.AF_VSOCK, true);
    view.setUint32(abi.OFFSETOF_sockaddr_vm_svm_port, address.port, true);
    view.setUint32(abi.OFFSETOF_sockaddr_vm_svm_cid, address.cid, true);
    return bytes;
  }
  if (address.family === 'inet') {
    const { bytes, view } = structure(abi.SIZEOF_sockaddr_in);
    view.setUint16(0, abi.AF_INET, true);
    // Port and address are in the order of the network.
    view.setUint16(abi.OFFSETOF_sockaddr_in_sin_port, address.port);
    bytes.set(parseIp(address.address) ?? [], abi.OFFSETOF_sockaddr_in_sin_addr);
    return bytes;
  }
  if (address.family === 'inet6') {
    const { bytes, view } = structure(abi.SIZEOF_sockaddr_in6);
    view.setUint16(0, abi.AF_INET6, true);
    view.setUint16(abi.OFFSETOF_sockaddr_in6_sin6_port, address.port);
    bytes.set(parseIp(address.address) ?? [], abi.OFFSETOF_sockaddr_in6_sin6_addr);
    return bytes;
  }
  const { bytes, view } = structure(abi.SIZEOF_sockaddr_un);
  const path = encodeUtf8(address.path);
  if (path.length >= bytes.length - abi.OFFSETOF_sockaddr_un_sun_path) {
    throw new RangeError(`the socket path ${address.path} is longer than 107 bytes: choose a shorter one`);
  }
  view.setUint16(0, abi.AF_UNIX, true);
  bytes.set(path, abi.OFFSETOF_sockaddr_un_sun_path);
  return bytes;
}

function openSocket(address: Address, type = abi.SOCK_STREAM): number {
  const flags = type | abi.SOCK_CLOEXEC | abi.SOCK_NONBLOCK;
  return call('socket', describe(address), abi.SYS_socket, FAMILIES[address.family], flags, 0);
}

/** @throws SystemError, and the socket is closed then */
function bindSocket(fd: number, address: Address): void {
  const bytes = encode(address);
  try {
    call('bind', describe(address), abi.SYS_bind, fd, bytes, bytes.length);
  } catch (error) {
    tryCall(abi.SYS_close, fd);
    throw error;
  }
}

/** Connections that may wait to be accepted: hundreds of processes may be made at once, each with three streams. */
const BACKLOG = 1024;

/** A non-blocking socket that listens. */
export function listen(address: Address): number {
  const fd = openSocket(address);
  bindSocket(fd, address);
  call('listen', describe(address), abi.SYS_listen, fd, BACKLOG);
  return fd;
}

/** A non-blocking socket for datagrams. */
export function bindDatagrams(address: Address): number {
  const fd = openSocket(address, abi.SOCK_DGRAM);
  bindSocket(fd, address);
  return fd;
}

/** A datagram, and the address of who sent it as the kernel has it. */
export interface Datagram {
  readonly bytes: Uint8Array;
  readonly from: Uint8Array;
}

/** Takes a datagram that waits. @returns nothing when none does; one that is longer than `lengthMax` is cut */
export function receiveDatagram(fd: number, lengthMax: number): Datagram | undefined {
  const bytes = new Uint8Array(lengthMax);
  const from = new Uint8Array(abi.SIZEOF_sockaddr_in);
  const size = structure(4);
  size.view.setUint32(0, from.length, true);
  const length = tryCall(abi.SYS_recvfrom, fd, bytes, bytes.length, 0, from, size.bytes);
  return length < 0 ? undefined : { bytes: bytes.slice(0, length), from };
}

/** Sends a datagram. One that cannot be sent is lost, as others are on their way. */
export function sendDatagram(fd: number, { bytes, from: to }: Datagram): void {
  tryCall(abi.SYS_sendto, fd, bytes, bytes.length, 0, to, to.length);
}

/** The port that an IPv4 socket has. */
export function localPort(fd: number): number {
  const { bytes, view } = structure(abi.SIZEOF_sockaddr_in);
  const size = structure(4);
  size.view.setUint32(0, bytes.length, true);
  call('getsockname', `descriptor ${fd}`, abi.SYS_getsockname, fd, bytes, size.bytes);
  return view.getUint16(abi.OFFSETOF_sockaddr_in_sin_port);
}

/** What the kernel knows a socket's network namespace by. */
export function namespaceCookie(fd: number): bigint {
  const value = structure(8);
  const size = structure(4);
  size.view.setUint32(0, value.bytes.length, true);
  const subject = 'SO_NETNS_COOKIE';
  call('getsockopt', subject, abi.SYS_getsockopt, fd, abi.SOL_SOCKET, abi.SO_NETNS_COOKIE, value.bytes, size.bytes);
  return value.view.getBigUint64(0, true);
}

/** Takes a connection that waits. @returns the socket and, on vsock, the peer's context id */
export function accept(listener: number, subject: string): { fd: number; peerCid: number | undefined } {
  const { bytes, view } = structure(abi.SIZEOF_sockaddr_un);
  const length = structure(4);
  length.view.setUint32(0, bytes.length, true);
  const flags = abi.SOCK_CLOEXEC | abi.SOCK_NONBLOCK;
  const fd = call('accept', subject, abi.SYS_accept4, listener, bytes, length.bytes, flags);
  const isVsock = view.getUint16(0, true) === abi.AF_VSOCK;
  return { fd, peerCid: isVsock ? view.getUint32(abi.OFFSETOF_sockaddr_vm_svm_cid, true) : undefined };
}

/** Begins a connection: the socket becomes writable when it stands or has failed (see `socketError`). */
export function startConnect(address: Address): number {
  const fd = openSocket(address);
  const bytes = encode(address);
  try {
    call('connect', describe(address), abi.SYS_connect, fd, bytes, bytes.length);
  } catch (error) {
    if (error instanceof Error && 'errno' in error && error.errno === abi.EINPROGRESS) return fd;
    call('close', '', abi.SYS_close, fd);
    throw error;
  }
  return fd;
}

/** The error number that waits on a socket; 0 for none. */
export function socketError(fd: number): number {
  const value = structure(4);
  const length = structure(4);
  length.view.setUint32(0, 4, true);
  call('getsockopt', 'SO_ERROR', abi.SYS_getsockopt, fd, abi.SOL_SOCKET, abi.SO_ERROR, value.bytes, length.bytes);
  return value.view.getInt32(0, true);
}

/** Tells the other end that nothing more will come; whether it is still there or not. */
export function endOutput(fd: number): void {
  tryCall(abi.SYS_shutdown, fd, abi.SHUT_WR);
}

/** Two connected sockets that keep message boundaries. */
export function messagePair(): [number, number] {
  const { bytes, view } = structure(8);
  const type = abi.SOCK_SEQPACKET | abi.SOCK_CLOEXEC;
  call('socketpair', '', abi.SYS_socketpair, abi.AF_UNIX, type, 0, bytes);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

/** A pipe: its reading and its writing end, both close-on-exec and blocking. */
export function pipe(): [readEnd: number, writeEnd: number] {
  const { bytes, view } = structure(8);
  call('pipe2', '', abi.SYS_pipe2, bytes, abi.O_CLOEXEC);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

/** Makes reads and writes return at once when they would wait. For descriptors whose other user has a copy of its own. */
export function setNonBlocking(fd: number): void {
  call('fcntl', `descriptor ${fd}`, abi.SYS_fcntl, fd, abi.F_SETFL, abi.O_NONBLOCK);
}

/** Brings a network interface up. */
export function bringUp(interfaceName: string): void {
  const flags = abi.SOCK_DGRAM | abi.SOCK_CLOEXEC;
  const fd = call('socket', 'AF_INET', abi.SYS_socket, abi.AF_INET, flags, 0);
  const { bytes, view } = structure(abi.SIZEOF_ifreq);
  bytes.set(encodeUtf8(interfaceName));
  try {
    call('ioctl', `SIOCGIFFLAGS ${interfaceName}`, abi.SYS_ioctl, fd, abi.SIOCGIFFLAGS, bytes);
    const old = view.getUint16(abi.OFFSETOF_ifreq_ifr_flags, true);
    view.setUint16(abi.OFFSETOF_ifreq_ifr_flags, old | abi.IFF_UP, true);
    call('ioctl', `SIOCSIFFLAGS ${interfaceName}`, abi.SYS_ioctl, fd, abi.SIOCSIFFLAGS, bytes);
  } finally {
    call('close', '', abi.SYS_close, fd);
  }
}
