// Unix stream sockets that carry file descriptors (unix(7), SCM_RIGHTS), synchronous with a timeout: what vhost-user needs.
import { constants } from 'node:os';
import type { Fd } from '../lib/brand.ts';
import {
  AF_UNIX,
  cmsghdr,
  iovec,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  msghdr,
  POLLIN,
  POLLOUT,
  pollfd,
  SCM_RIGHTS,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  SOL_SOCKET,
  sockaddr_un,
} from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { OwnedFd, setNonBlocking } from './fd.unsafe.ts';
import { koffi, lastErrno, libcFunction, type Pointer } from './koffi.unsafe.ts';
import { errnoName, SystemError } from './system-error.ts';

const socket = libcFunction<[number, number, number], number>('int socket(int domain, int type, int protocol)');
const connect = libcFunction<[number, Pointer, number], number>('int connect(int fd, void *address, uint length)');
const bind = libcFunction<[number, Pointer, number], number>('int bind(int fd, void *address, uint length)');
const listen = libcFunction<[number, number], number>('int listen(int fd, int backlog)');
const socketpair = libcFunction<[number, number, number, Pointer], number>(
  'int socketpair(int domain, int type, int protocol, void *fds)',
);
const poll = libcFunction<[Pointer, number, number], number>('int poll(void *fds, ulong count, int timeout)');
const sendmsg = libcFunction<[number, Pointer, number], number>('int64_t sendmsg(int fd, void *message, int flags)');
const recvmsg = libcFunction<[number, Pointer, number], number>('int64_t recvmsg(int fd, void *message, int flags)');

/** The kernel's own limit of descriptors per message (SCM_MAX_FD). */
const MAX_FDS = 253;

/** CMSG_ALIGN: control messages are padded to the size of a long. */
function align(length: number): number {
  return Math.ceil(length / 8) * 8;
}

/**
 * A struct msghdr with the control bytes and the data that it points at, all in one allocation: whoever holds the header
 * holds the rest.
 */
class Message {
  readonly bytes: Uint8Array;
  readonly control: Uint8Array;
  readonly data: Uint8Array;

  constructor(controlLength: number, dataLength: number) {
    const controlAt = msghdr.sizeof + iovec.sizeof;
    const dataAt = controlAt + controlLength;
    this.bytes = new Uint8Array(new ArrayBuffer(dataAt + dataLength));
    this.control = this.bytes.subarray(controlAt, dataAt);
    this.data = this.bytes.subarray(dataAt);
    const view = new DataView(this.bytes.buffer);
    const address = koffi().address(this.bytes);
    view.setBigUint64(msghdr.msg_iov, address + BigInt(msghdr.sizeof), true);
    view.setBigUint64(msghdr.msg_iovlen, 1n, true);
    view.setBigUint64(msghdr.msg_control, controlLength === 0 ? 0n : address + BigInt(controlAt), true);
    view.setBigUint64(msghdr.msg_controllen, BigInt(controlLength), true);
    view.setBigUint64(msghdr.sizeof + iovec.iov_base, address + BigInt(dataAt), true);
    view.setBigUint64(msghdr.sizeof + iovec.iov_len, BigInt(dataLength), true);
  }

  /** Bytes of control messages received. */
  get controlLength(): number {
    return Number(new DataView(this.bytes.buffer).getBigUint64(msghdr.msg_controllen, true));
  }

  get flags(): number {
    return new DataView(this.bytes.buffer).getInt32(msghdr.msg_flags, true);
  }
}

function rightsMessage(fds: readonly Fd[]): Uint8Array {
  if (fds.length === 0) return new Uint8Array(0);
  const length = cmsghdr.sizeof + 4 * fds.length;
  const view = new DataView(new ArrayBuffer(align(length)));
  view.setBigUint64(cmsghdr.cmsg_len, BigInt(length), true);
  view.setInt32(cmsghdr.cmsg_level, SOL_SOCKET, true);
  view.setInt32(cmsghdr.cmsg_type, SCM_RIGHTS, true);
  for (const [index, fd] of fds.entries()) view.setInt32(cmsghdr.sizeof + 4 * index, fd, true);
  return new Uint8Array(view.buffer);
}

function receivedFds(control: Uint8Array, length: number): OwnedFd[] {
  const view = new DataView(control.buffer, control.byteOffset, length);
  const fds: OwnedFd[] = [];
  for (let at = 0; at + cmsghdr.sizeof <= length; ) {
    const end = at + Number(view.getBigUint64(at + cmsghdr.cmsg_len, true));
    const isRights =
      view.getInt32(at + cmsghdr.cmsg_level, true) === SOL_SOCKET &&
      view.getInt32(at + cmsghdr.cmsg_type, true) === SCM_RIGHTS;
    for (let fd = at + cmsghdr.sizeof; isRights && fd + 4 <= end; fd += 4)
      fds.push(new OwnedFd(view.getInt32(fd, true)));
    at = Math.max(align(end), at + cmsghdr.sizeof);
  }
  return fds;
}

/** struct sockaddr_un */
function socketAddress(syscall: string, path: string): Uint8Array {
  const name = Buffer.from(path);
  const room = sockaddr_un.sizeof - sockaddr_un.sun_path - 1;
  if (name.length > room) {
    const advice = `a socket path has at most ${room} bytes: use a shorter one`;
    throw new SystemError(syscall, constants.errno.ENAMETOOLONG, path, advice);
  }
  const address = new Uint8Array(sockaddr_un.sizeof);
  new DataView(address.buffer).setUint16(sockaddr_un.sun_family, AF_UNIX, true);
  address.set(name, sockaddr_un.sun_path);
  return address;
}

function openSocket(path: string): OwnedFd {
  return new OwnedFd(check(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), 'socket', path));
}

/**
 * A stream socket that listens at a path which nothing has yet. Whoever connects is queued, whether somebody accepts or not.
 * @throws SystemError, EADDRINUSE when something is there
 */
export function listenUnix(path: string): OwnedFd {
  const address = socketAddress('bind', path);
  const owned = openSocket(path);
  try {
    check(bind(owned.fd, address, address.length), 'bind', path);
    check(listen(owned.fd, 1), 'listen', path);
    return owned;
  } catch (error) {
    owned[Symbol.dispose]();
    throw error;
  }
}

/** One stream connection to a Unix socket. All calls block, for at most the timeout. */
export class UnixConnection implements Disposable {
  readonly #owned: OwnedFd;
  readonly #path: string;
  readonly #timeoutMs: number;

  private constructor(owned: OwnedFd, path: string, timeoutMs: number) {
    this.#owned = owned;
    this.#path = path;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * @param timeoutMs limit of each single send and receive; they fail with EAGAIN then
   * @throws SystemError, ENOENT or ECONNREFUSED when nobody listens, EAGAIN when too many wait already
   */
  static connect(path: string, timeoutMs: number): UnixConnection {
    const address = socketAddress('connect', path);
    const owned = openSocket(path);
    try {
      // Else a full queue would be waited for without an end.
      setNonBlocking(owned.fd);
      if (connect(owned.fd, address, address.length) < 0) {
        const errno = lastErrno();
        const advice = errno === constants.errno.EAGAIN ? 'its server is busy with others' : undefined;
        throw new SystemError('connect', errno, path, advice);
      }
      return new UnixConnection(owned, path, timeoutMs);
    } catch (error) {
      owned[Symbol.dispose]();
      throw error;
    }
  }

  /** Two ends of one connection without a path. @throws SystemError */
  static pair(timeoutMs: number): [UnixConnection, UnixConnection] {
    const fds = new Int32Array(2);
    const type = SOCK_STREAM | SOCK_CLOEXEC;
    check(socketpair(AF_UNIX, type, 0, new Uint8Array(fds.buffer)), 'socketpair');
    const [left, right] = Array.from(fds, (fd) => new UnixConnection(new OwnedFd(fd), 'a socket pair', timeoutMs));
    if (left === undefined || right === undefined) throw new RangeError('a socket pair has two ends');
    return [left, right];
  }

  /**
   * Waits until the socket is ready. With poll(2), not with the socket's own timeouts: watching a descriptor makes it
   * non-blocking, and then those have no effect.
   * @throws SystemError, EAGAIN after the timeout
   */
  #wait(events: number, syscall: string, timeoutMs = this.#timeoutMs): void {
    const view = new DataView(new ArrayBuffer(pollfd.sizeof));
    view.setInt32(pollfd.fd, this.fd, true);
    view.setInt16(pollfd.events, events, true);
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const left = Math.max(0, Math.ceil(deadline - performance.now()));
      const ready = poll(new Uint8Array(view.buffer), 1, left);
      if (ready > 0) return;
      if (ready === 0) throw new SystemError(syscall, constants.errno.EAGAIN, this.#path, 'the peer does not answer');
      // A signal handler ran: the rest of the time is still ours.
      if (errnoName(lastErrno()) !== 'EINTR') check(ready, 'poll', this.#path);
    }
  }

  /** For `watchFd`. */
  get fd(): Fd {
    return this.#owned.fd;
  }

  /** Sends all the bytes; the descriptors go with the first of them. @throws SystemError, EAGAIN after the timeout */
  send(bytes: Uint8Array, fds: readonly Fd[] = []): void {
    let control = rightsMessage(fds);
    for (let rest = bytes; rest.length > 0; ) {
      const message = new Message(control.length, rest.length);
      message.control.set(control);
      message.data.set(rest);
      this.#wait(POLLOUT, 'sendmsg');
      const sent = sendmsg(this.fd, message.bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
      rest = rest.subarray(check(sent, 'sendmsg', this.#path));
      control = new Uint8Array(0);
    }
  }

  /**
   * Receives exactly `length` bytes and the descriptors that came with them; the caller owns those.
   * @param timeoutMs limit of each wait @default that of the connection
   * @throws SystemError, EAGAIN after the timeout, ECONNRESET when the peer closed before
   */
  receive(
    length: number,
    maxFds = 8,
    timeoutMs = this.#timeoutMs,
  ): { readonly bytes: Uint8Array; readonly fds: readonly OwnedFd[] } {
    const bytes = new Uint8Array(length);
    const fds: OwnedFd[] = [];
    try {
      for (let done = 0; done < length; ) {
        this.#wait(POLLIN, 'recvmsg', timeoutMs);
        done += this.#receiveSome(bytes.subarray(done), maxFds, fds);
      }
      return { bytes, fds };
    } catch (error) {
      for (const fd of fds) fd[Symbol.dispose]();
      throw error;
    }
  }

  #receiveSome(bytes: Uint8Array, maxFds: number, fds: OwnedFd[]): number {
    const message = new Message(align(cmsghdr.sizeof + 4 * Math.min(maxFds, MAX_FDS)), bytes.length);
    const received = check(recvmsg(this.fd, message.bytes, MSG_CMSG_CLOEXEC | MSG_DONTWAIT), 'recvmsg', this.#path);
    fds.push(...receivedFds(message.control, message.controlLength));
    if ((message.flags & MSG_CTRUNC) !== 0) {
      const advice = `the peer sent more than ${maxFds} file descriptors`;
      throw new SystemError('recvmsg', constants.errno.EMSGSIZE, this.#path, advice);
    }
    if (received === 0)
      throw new SystemError('recvmsg', constants.errno.ECONNRESET, this.#path, 'the peer closed the connection');
    bytes.set(message.data.subarray(0, received));
    return received;
  }

  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}
