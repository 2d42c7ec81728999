// The host side of the guest's vsock as Unix sockets, by the convention that Firecracker set: a program that connects to
// `<path>` and says `CONNECT <port>\n` is connected to that port of the guest, which it learns by `OK <host port>\n`; a
// guest's connection to port P of the host arrives at `<path>_P`, and is refused when nobody listens there.
import { connect as netConnect, type Server, type Socket } from 'node:net';
import type { GuestConnector, HostStream, HostStreamEvents, VsockHost } from '../devices/virtio/vsock/backend.ts';
import { checkSocketPath, listenOwnerOnly } from './unix-listener.ts';

/** `<path>_<port>` is the longest path: an underscore and ten digits. */
const MAX_PORT_SUFFIX = 11;
/** "CONNECT 4294967295\n" */
const MAX_CONNECT_LINE = 19;
const CONNECT_LINE = /^CONNECT ([0-9]{1,10})$/;
const MAX_PORT = 2 ** 32 - 1;
const NEWLINE = 0x0a;
const NOTHING = new Uint8Array();

export class VsockUnixHost implements VsockHost, Disposable {
  readonly #path: string;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  /** @param path of the socket that host programs connect to @throws UnixListenerError PATH_TOO_LONG */
  constructor(path: string) {
    checkSocketPath(path, MAX_PORT_SUFFIX);
    this.#path = path;
  }

  /**
   * Starts to take connections for the guest at `path`.
   * @throws UnixListenerError when the socket cannot be had (rejects)
   */
  async listen(guest: GuestConnector): Promise<void> {
    const options = { allowHalfOpen: true, pauseOnConnect: true };
    this.#server = await listenOwnerOnly(this.#path, options, (socket) => this.#accept(socket, guest));
  }

  connect(hostPort: number, events: HostStreamEvents): HostStream {
    const socket = netConnect({ path: `${this.#path}_${hostPort}`, allowHalfOpen: true });
    this.#track(socket);
    const stream = new UnixStream(socket);
    stream.bind(events);
    socket.once('connect', () => stream.opened());
    return stream;
  }

  /** Ends every connection and removes the socket. */
  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server?.close();
    this.#server = undefined;
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  /** A host program connected: its first line says to which port of the guest. */
  #accept(socket: Socket, guest: GuestConnector): void {
    this.#track(socket);
    // Until there is a stream, a broken socket concerns nobody else.
    const ignore = () => {};
    socket.on('error', ignore);
    let received = new Uint8Array();
    const onReadable = () => {
      const bytes: unknown = socket.read();
      if (!(bytes instanceof Uint8Array)) return;
      received = Buffer.concat([received, bytes]);
      const end = received.indexOf(NEWLINE);
      if (end < 0 && received.length < MAX_CONNECT_LINE) return;
      socket.removeListener('readable', onReadable);
      socket.removeListener('end', onEnd);
      const line = end < 0 ? '' : Buffer.from(received.subarray(0, end)).toString('latin1');
      const port = Number(CONNECT_LINE.exec(line)?.[1] ?? Number.NaN);
      if (!(port <= MAX_PORT)) {
        socket.destroy();
        return;
      }
      const stream = new UnixStream(socket);
      socket.removeListener('error', ignore);
      // What follows the line is the guest's.
      if (end + 1 < received.length) socket.unshift(received.subarray(end + 1));
      const events = guest.connectToGuest(port, stream, {
        accepted: (hostPort) => void socket.write(`OK ${hostPort}\n`),
        refused: () => void socket.destroy(),
      });
      stream.bind(events);
    };
    const onEnd = () => void socket.destroy();
    socket.on('readable', onReadable);
    socket.once('end', onEnd);
  }
}

/**
 * Makes a socket fail whose other end has sent its last byte and reads no more either. Node tells that only to who writes:
 * nothing is written, which breaks where somebody would have to read it, and not at a half-close (unix(7), EPIPE).
 * @param onHalfClose called unless it is known by then that the socket is broken
 */
export function noticeBreak(socket: Socket, onHalfClose: () => void = () => {}): void {
  // Behind other bytes the answer may take as long as the other end likes.
  const isPrompt = socket.writable && socket.writableLength === 0;
  if (!isPrompt) onHalfClose();
  if (!socket.writable) return;
  socket.write(NOTHING, (error) => {
    if (isPrompt && !error) onHalfClose();
  });
}

/** A Unix socket as the device sees it. Node's own buffer is the bound of what waits to be read. */
class UnixStream implements HostStream {
  readonly #socket: Socket;
  #events: HostStreamEvents | undefined;
  #ended = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', (error) => this.#tell((events) => events.failed(error), 'last'));
    socket.on('readable', () => {
      this.#noticeEnd();
      this.#tell((events) => events.readable());
    });
    socket.on('end', () => {
      // A guest that was told of a half-close learns nothing from a reset that comes later, before it writes.
      noticeBreak(this.#socket, () => {
        this.#ended = true;
        this.#tell((events) => events.readable());
      });
    });
  }

  bind(events: HostStreamEvents): void {
    this.#events = events;
  }

  opened(): void {
    this.#tell((events) => events.opened());
  }

  get readableLength(): number {
    return this.#socket.readableLength;
  }

  get ended(): boolean {
    return this.#ended;
  }

  read(maxLength: number): Uint8Array {
    const bytes: unknown = this.#socket.read(Math.min(maxLength, this.#socket.readableLength));
    this.#noticeEnd();
    return bytes instanceof Uint8Array ? bytes : new Uint8Array();
  }

  write(bytes: Uint8Array, done: () => void): void {
    // After a failure the callback comes with the error, which 'error' tells too.
    this.#socket.write(bytes, (error) => {
      if (error === null || error === undefined) done();
    });
  }

  end(done: () => void): void {
    const socket = this.#socket;
    if (socket.writableFinished || socket.destroyed) {
      setImmediate(done);
      return;
    }
    let isDone = false;
    const once = () => {
      if (isDone) return;
      isDone = true;
      done();
    };
    socket.once('finish', once);
    socket.once('close', once);
    socket.end();
  }

  destroy(): void {
    this.#events = undefined;
    this.#socket.destroy();
  }

  /** Node tells the end of a stream only to who reads again when nothing is left. */
  #noticeEnd(): void {
    if (!this.#ended && this.#socket.readableLength === 0) this.#socket.read(0);
  }

  #tell(tell: (events: HostStreamEvents) => void, when?: 'last'): void {
    const events = this.#events;
    if (when === 'last') this.#events = undefined;
    if (events !== undefined) tell(events);
  }
}
