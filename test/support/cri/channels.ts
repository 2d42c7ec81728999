// The streams of exec, attach and port-forward: channels of a WebSocket (v4.channel.k8s.io of Kubernetes' remotecommand). Each
// message is a byte that names the channel, and what is sent on it.
import { once } from 'node:events';

const SUBPROTOCOL = 'v4.channel.k8s.io';

/** Of a command. */
export const STDIN = 0;
export const STDOUT = 1;
export const STDERR = 2;
/** A JSON object of the kind Status, at the end. */
export const STATUS = 3;
/** JSON of Width and Height. */
export const RESIZE = 4;

/** Of a forwarded port. Both begin with the number of the port, two bytes. */
export const PORT_DATA = 0;
export const PORT_ERROR = 1;

export class Channels {
  readonly #socket: WebSocket;
  readonly #received = new Map<number, Buffer>();
  /** Settles when the other end has closed the connection. */
  readonly ended: Promise<void>;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('message', ({ data }) => {
      const message = Buffer.from(data as ArrayBuffer);
      const channel = message[0] ?? 0;
      this.#received.set(channel, Buffer.concat([this.bytes(channel), message.subarray(1)]));
    });
    this.ended = once(socket, 'close').then(() => {});
  }

  /** All that came on a channel. */
  bytes(channel: number): Buffer {
    return this.#received.get(channel) ?? Buffer.alloc(0);
  }

  text(channel: number): string {
    return this.bytes(channel).toString();
  }

  send(channel: number, text: string): void {
    this.#socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(text)]));
  }

  close(): void {
    this.#socket.close();
  }
}

/** @param url as the engine names it, of http. @throws when there is no connection (rejects) */
export async function openChannels(url: string): Promise<Channels> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), [SUBPROTOCOL]);
  const channels = new Channels(socket);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.addEventListener('open', () => resolve());
  socket.addEventListener('error', () => reject(new Error(`no connection to ${url}`)));
  await promise;
  return channels;
}
