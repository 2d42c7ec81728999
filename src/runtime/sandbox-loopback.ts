// The loopback of a container's network namespace on the host: what programs of the host connect to at 127.0.0.1 there (kubectl
// port-forward by way of containerd or CRI-O, `nsenter --net`), the container has, in the guest.
import { createServer, type Server, type Socket } from 'node:net';
import { connectToLoopback } from '../agent-client/guest-socket.ts';
import { listenOnLoopback } from '../ffi/loopback-listener.unsafe.ts';
import { openNetworkNamespace } from '../ffi/network-namespace.unsafe.ts';
import { joinSockets } from '../host/join-sockets.ts';

/** As many as the agent takes. */
const CONNECTIONS_MAX = 256;

export class SandboxLoopback implements Disposable {
  readonly #server: Server;
  readonly #link: Disposable;
  readonly #vsockPath: string;

  /**
   * @param path of the network namespace. @param vsockPath of the vsock's Unix socket
   * @throws Node's error when there is no such namespace; SystemError where the kernel cannot choose sockets by bpf(2)
   */
  constructor(path: string, vsockPath: string) {
    using namespace = openNetworkNamespace(path);
    const { listener, link } = listenOnLoopback(namespace.fd);
    this.#vsockPath = vsockPath;
    this.#link = link;
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => void this.#join(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
    // It owns the descriptor from here on.
    this.#server.listen({ fd: listener.fd }).unref();
  }

  [Symbol.dispose](): void {
    this.#link[Symbol.dispose]();
    this.#server.close();
  }

  async #join(socket: Socket): Promise<void> {
    socket.on('error', () => {});
    try {
      const guest = await connectToLoopback(this.#vsockPath, socket.localPort ?? 0);
      if (socket.destroyed) guest.destroy();
      else joinSockets(socket, guest);
    } catch {
      // The kernel has accepted already: a reset is the nearest to a refusal.
      socket.resetAndDestroy();
    }
  }
}
