// The socket device (virtio 1.3, 5.10), stream sockets only. Connections have their state in connection.ts; here are the
// queues, the table of connections and the rules for packets that belong to none. All memory is bounded: connections by
// their number, their bytes by their receive buffers, replies to strangers by a list that stops the tx queue when full.
import {
  VIRTIO_F_VERSION_1,
  VIRTIO_ID_VSOCK,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_VSOCK_EVENT_TRANSPORT_RESET,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_TYPE_STREAM,
  virtio_vsock_event,
} from '../abi.gen.ts';
import type { Chain } from '../chain.ts';
import type { ActivationContext, ActiveDevice, VirtioDevice } from '../device.ts';
import { drain, interruptIfWanted, type QueueWork, requireQueue } from '../drain.ts';
import { featureSet } from '../features.ts';
import type { Virtqueue } from '../queue.ts';
import { QueueError } from '../queue-error.ts';
import type { Timers } from '../timers.ts';
import type { GuestConnector, HostStream, HostStreamEvents, VsockHost } from './backend.ts';
import { HOST_CID, vsockConfigSpace } from './config-space.ts';
import { type ConnectAnswer, Connection, type ConnectionOwner, type ConnectionPorts } from './connection.ts';
import { decodeHeader, encodeHeader, HEADER_SIZE, type PacketHeader, packetKind } from './request.ts';

/** The queues (virtio 1.3, 5.10.2). */
export const VSOCK_QUEUE = { rx: 0, tx: 1, event: 2 } as const;
const DATA_QUEUE_SIZE = 256;
const EVENT_QUEUE_SIZE = 16;

/** What Linux' driver takes per packet (VIRTIO_VSOCK_MAX_PKT_BUF_SIZE). */
const MAX_PAYLOAD = 64 * 1024;
/** Replies to packets without a connection that may wait for room in the rx queue. */
const MAX_STRAY_REPLIES = 64;
/** Ports of connections that the host opens: above those that programs choose, below VMADDR_PORT_ANY. */
const FIRST_HOST_PORT = 0x4000_0000;
const LAST_HOST_PORT = 0x7fff_ffff;

/** Told of every payload that went through, for the timeline and for metrics. */
export type VsockObserver = (ports: ConnectionPorts, direction: 'to-host' | 'to-guest', byteCount: number) => void;

export interface VsockOptions {
  /** The guest's context id, 3 or above. */
  readonly guestCid: number;
  readonly host: VsockHost;
  readonly timers: Timers;
  readonly observer?: VsockObserver;
  /** Connections at a time, those whose last bytes the host has not read yet included. */
  readonly maxConnections?: number;
  /** Receive buffer of each connection, bytes: with `maxConnections` it bounds the memory a guest can make us use. */
  readonly bufferSize?: number;
  /** How long a guest may take to answer a connection that the host opens, milliseconds. */
  readonly connectTimeoutMs?: number;
}

const DEFAULT_MAX_CONNECTIONS = 512;
const DEFAULT_BUFFER_SIZE = 128 * 1024;
/** Linux' own default for AF_VSOCK connects (VSOCK_DEFAULT_CONNECT_TIMEOUT). */
const DEFAULT_CONNECT_TIMEOUT_MS = 2000;

type Settings = Required<Omit<VsockOptions, 'observer'>> & { readonly observer: VsockObserver };

export class VsockDevice implements VirtioDevice, GuestConnector {
  readonly name = 'vsock';
  readonly deviceId = VIRTIO_ID_VSOCK;
  // Two descriptors a packet do not pay for an indirect table. Without VIRTIO_VSOCK_F_* stream sockets are implied
  // (virtio 1.3, 5.10.3).
  readonly features: bigint = featureSet(VIRTIO_F_VERSION_1, VIRTIO_RING_F_EVENT_IDX);
  readonly queueSizes = [DATA_QUEUE_SIZE, DATA_QUEUE_SIZE, EVENT_QUEUE_SIZE];
  readonly configurationSpace: Uint8Array;
  readonly #settings: Settings;
  #active: ActiveVsock | undefined;

  /** @throws RangeError when the context id is reserved */
  constructor(options: VsockOptions) {
    this.configurationSpace = vsockConfigSpace(options.guestCid);
    this.#settings = {
      maxConnections: DEFAULT_MAX_CONNECTIONS,
      bufferSize: DEFAULT_BUFFER_SIZE,
      connectTimeoutMs: DEFAULT_CONNECT_TIMEOUT_MS,
      observer: () => {},
      ...options,
    };
  }

  /** @throws QueueError when the driver did not set up all three queues */
  activate(context: ActivationContext): ActiveDevice {
    const active = new ActiveVsock(context, this.#settings, () => {
      if (this.#active === active) this.#active = undefined;
    });
    this.#active = active;
    return active;
  }

  connectToGuest(guestPort: number, stream: HostStream, answer: ConnectAnswer): HostStreamEvents {
    if (this.#active !== undefined) return this.#active.connectToGuest(guestPort, stream, answer);
    answer.refused("the guest's vsock driver is not up");
    stream.destroy();
    return NO_EVENTS;
  }

  /**
   * Ends all connections and tells the driver so with VIRTIO_VSOCK_EVENT_TRANSPORT_RESET (virtio 1.3, 5.10.6.8): after a
   * restore none of them has its other end any more.
   */
  resetTransport(): void {
    this.#active?.resetTransport();
  }
}

const NO_EVENTS: HostStreamEvents = { opened: () => {}, readable: () => {}, failed: () => {} };

class ActiveVsock implements ActiveDevice, ConnectionOwner {
  readonly #context: ActivationContext;
  readonly #settings: Settings;
  readonly #onDispose: () => void;
  readonly #rx: Virtqueue;
  readonly #events: Virtqueue;
  readonly #txWork: QueueWork;

  readonly #connections = new Map<string, Connection>();
  /** Streams that are open, their connection in the table or not. */
  #streams = 0;
  /** Connections that have something for the guest, the one that waits longest first. */
  readonly #ready = new Set<Connection>();
  #strayReplies: PacketHeader[] = [];
  #txWaitsForReplies = false;
  #transportResetDue = false;
  #nextHostPort = FIRST_HOST_PORT;
  #isSending = false;
  #isReceiving = false;

  constructor(context: ActivationContext, settings: Settings, onDispose: () => void) {
    this.#context = context;
    this.#settings = settings;
    this.#onDispose = onDispose;
    this.#rx = requireQueue(context, VSOCK_QUEUE.rx);
    this.#events = requireQueue(context, VSOCK_QUEUE.event);
    this.#txWork = {
      queueIndex: VSOCK_QUEUE.tx,
      queue: requireQueue(context, VSOCK_QUEUE.tx),
      handle: (chain) => {
        this.#isReceiving = true;
        this.#receive(chain);
      },
      canTake: () => {
        this.#txWaitsForReplies = this.#strayReplies.length >= MAX_STRAY_REPLIES;
        return !this.#txWaitsForReplies;
      },
      finish: () => {
        this.#isReceiving = false;
        this.#send();
      },
    };
    // The bells of these two matter only while something waits for buffers.
    this.#rx.suppressNotifications();
    this.#events.suppressNotifications();
  }

  queueNotified(queueIndex: number): void {
    if (queueIndex === VSOCK_QUEUE.tx) drain(this.#context, this.#txWork);
    else if (queueIndex === VSOCK_QUEUE.rx) this.#send();
    else if (queueIndex === VSOCK_QUEUE.event) this.#sendEvents();
  }

  connectToGuest(guestPort: number, stream: HostStream, answer: ConnectAnswer): HostStreamEvents {
    if (!this.#hasRoom()) {
      answer.refused(`${this.#settings.maxConnections} connections are open already`);
      stream.destroy();
      return NO_EVENTS;
    }
    const ports = { hostPort: this.#freeHostPort(guestPort), guestPort };
    let timer: Disposable | undefined;
    const connection = Connection.fromHost(this, ports, this.#settings.bufferSize, stream, {
      accepted: (hostPort) => {
        timer?.[Symbol.dispose]();
        answer.accepted(hostPort);
      },
      refused: (reason) => {
        timer?.[Symbol.dispose]();
        answer.refused(reason);
      },
    });
    this.#streams += 1;
    this.#connections.set(keyOf(ports), connection);
    timer = this.#settings.timers.after(this.#settings.connectTimeoutMs, () =>
      this.#context.guard(() => {
        if (connection.state === 'connecting-to-guest') connection.reset('the guest did not answer in time');
      }),
    );
    this.#context.guard(() => this.schedule(connection));
    return this.#eventsOf(connection);
  }

  resetTransport(): void {
    this.#dropAll('the transport was reset');
    this.#transportResetDue = true;
    this.#context.guard(() => this.#sendEvents());
  }

  schedule(connection: Connection): void {
    if (!connection.hasPacket) return;
    this.#ready.add(connection);
    // Replies to what the tx queue holds go out together, at the end of its turn.
    if (!this.#isReceiving) this.#context.guard(() => this.#send());
  }

  forget(connection: Connection): void {
    this.#connections.delete(keyOf(connection));
    this.#ready.delete(connection);
  }

  released(): void {
    this.#streams -= 1;
  }

  moved(connection: Connection, direction: 'to-host' | 'to-guest', byteCount: number): void {
    this.#settings.observer(connection, direction, byteCount);
  }

  [Symbol.dispose](): void {
    this.#dropAll("the guest's driver stopped");
    this.#onDispose();
  }

  #dropAll(reason: string): void {
    for (const connection of [...this.#connections.values()]) connection.drop(reason);
    this.#strayReplies = [];
  }

  #hasRoom(): boolean {
    return Math.max(this.#streams, this.#connections.size) < this.#settings.maxConnections;
  }

  #freeHostPort(guestPort: number): number {
    // There are many more ports than connections, so this ends.
    for (;;) {
      const hostPort = this.#nextHostPort;
      this.#nextHostPort = hostPort === LAST_HOST_PORT ? FIRST_HOST_PORT : hostPort + 1;
      if (!this.#connections.has(keyOf({ hostPort, guestPort }))) return hostPort;
    }
  }

  #eventsOf(connection: Connection): HostStreamEvents {
    const guarded = (work: () => void) => () => this.#context.guard(work);
    return {
      opened: guarded(() => connection.opened()),
      readable: guarded(() => connection.readable()),
      failed: guarded(() => connection.failed()),
    };
  }

  /** One packet of the tx queue. @throws QueueError when the buffer holds no header */
  #receive(chain: Chain): void {
    const header = decodeHeader(chain.readable.copy(0, HEADER_SIZE));
    // Only the guest's own address is a source (virtio 1.3, 5.10.6.4.1); nobody could be answered.
    if (header.sourceCid === BigInt(this.#guestCid)) this.#dispatch(header, chain);
    this.#txWork.queue.putUsed(chain, 0);
  }

  #dispatch(header: PacketHeader, chain: Chain): void {
    const kind = packetKind(header.operation);
    // "A VIRTIO_VSOCK_OP_RST reply MUST be sent if a packet is received with an unknown type value" (virtio 1.3, 5.10.6.4.2);
    // other hosts do not exist.
    if (header.type !== VIRTIO_VSOCK_TYPE_STREAM || header.destinationCid !== BigInt(HOST_CID)) {
      this.#refuseStray(header);
      return;
    }
    const connection = this.#connections.get(keyOf({ hostPort: header.destinationPort, guestPort: header.sourcePort }));
    if (connection !== undefined) {
      if (header.length > chain.readable.length - HEADER_SIZE) {
        connection.reset('the packet is longer than its buffer');
      } else if (kind === 'data' && header.length > connection.bufferSize) {
        connection.reset('the packet is larger than the receive buffer');
      } else {
        connection.receive(header, chain.readable.copy(HEADER_SIZE, kind === 'data' ? header.length : 0));
      }
    } else if (kind === 'request') {
      this.#acceptFromGuest(header);
    } else {
      this.#refuseStray(header);
    }
  }

  #acceptFromGuest(header: PacketHeader): void {
    // "A VIRTIO_VSOCK_OP_RST reply is sent if [...] the destination has insufficient resources" (virtio 1.3, 5.10.6.6).
    if (!this.#hasRoom()) {
      this.#refuseStray(header);
      return;
    }
    const connection = Connection.fromGuest(this, header, this.#settings.bufferSize);
    this.#connections.set(keyOf(connection), connection);
    connection.attach(this.#settings.host.connect(header.destinationPort, this.#eventsOf(connection)));
    this.#streams += 1;
  }

  /** Answers a packet that belongs to no connection. A RST is not answered, or two ends could go on for ever. */
  #refuseStray(header: PacketHeader): void {
    if (packetKind(header.operation) === 'reset') return;
    this.#strayReplies.push({
      sourceCid: header.destinationCid,
      destinationCid: header.sourceCid,
      sourcePort: header.destinationPort,
      destinationPort: header.sourcePort,
      length: 0,
      type: header.type,
      operation: VIRTIO_VSOCK_OP_RST,
      flags: 0,
      bufferSize: 0,
      forwardedCount: 0,
    });
  }

  /** Fills rx buffers while there are both buffers and packets. */
  #send(): void {
    // A packet's own effects (a stream that ends, say) may ask for more: the loop that runs sees to it.
    if (this.#isSending) return;
    this.#isSending = true;
    try {
      this.#fillBuffers();
    } finally {
      this.#isSending = false;
    }
    interruptIfWanted(this.#context, VSOCK_QUEUE.rx, this.#rx);
    if (this.#txWaitsForReplies && this.#strayReplies.length < MAX_STRAY_REPLIES) {
      this.#txWaitsForReplies = false;
      this.#context.defer(() => drain(this.#context, this.#txWork));
    }
  }

  /** As many as the ring holds, then others have their turn. @throws QueueError when a buffer cannot hold a packet */
  #fillBuffers(): void {
    for (let budget = this.#rx.size; this.#hasPacket(); budget -= 1) {
      if (budget === 0) {
        this.#context.defer(() => this.#send());
        return;
      }
      const chain = this.#rx.take();
      if (chain === undefined) {
        if (this.#rx.requestNotifications()) continue;
        return;
      }
      const room = chain.writable.length - HEADER_SIZE;
      if (room < 1) {
        throw new QueueError('BUFFER_LAYOUT', `an rx buffer of ${chain.writable.length} bytes holds no packet`);
      }
      this.#rx.putUsed(chain, this.#sendPacket(chain, Math.min(room, MAX_PAYLOAD)));
    }
    this.#rx.suppressNotifications();
  }

  /** Drops connections from the front of the line that have nothing to send any more. */
  #hasPacket(): boolean {
    for (const connection of this.#ready) {
      if (connection.hasPacket) return true;
      this.#ready.delete(connection);
    }
    return this.#strayReplies.length > 0;
  }

  /** @returns bytes written */
  #sendPacket(chain: Chain, maxPayload: number): number {
    const reply = this.#strayReplies.shift();
    if (reply !== undefined) {
      chain.writable.write(0, encodeHeader(reply));
      return HEADER_SIZE;
    }
    const [connection] = this.#ready;
    if (connection === undefined) return 0;
    this.#ready.delete(connection);
    const packet = connection.nextPacket(maxPayload);
    chain.writable.write(
      0,
      encodeHeader({
        sourceCid: BigInt(HOST_CID),
        destinationCid: BigInt(this.#guestCid),
        sourcePort: connection.hostPort,
        destinationPort: connection.guestPort,
        length: packet.payload.length,
        type: VIRTIO_VSOCK_TYPE_STREAM,
        operation: packet.operation,
        flags: packet.flags,
        bufferSize: connection.bufferSize,
        forwardedCount: connection.forwardedCount,
      }),
    );
    chain.writable.write(HEADER_SIZE, packet.payload);
    // To the end of the line: nobody waits behind one that has much to say.
    if (connection.hasPacket) this.#ready.add(connection);
    return HEADER_SIZE + packet.payload.length;
  }

  #sendEvents(): void {
    while (this.#transportResetDue) {
      const chain = this.#events.take();
      if (chain === undefined) {
        // What came meanwhile is looked at in another turn: a driver could move its index to and fro for ever.
        if (this.#events.requestNotifications()) this.#context.defer(() => this.#sendEvents());
        return;
      }
      const event = new Uint8Array(virtio_vsock_event.sizeof);
      new DataView(event.buffer).setUint32(virtio_vsock_event.id, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET, true);
      chain.writable.write(0, event);
      this.#events.putUsed(chain, event.length);
      this.#transportResetDue = false;
    }
    interruptIfWanted(this.#context, VSOCK_QUEUE.event, this.#events);
  }

  get #guestCid(): number {
    return this.#settings.guestCid;
  }
}

function keyOf({ hostPort, guestPort }: ConnectionPorts): string {
  return `${hostPort}:${guestPort}`;
}
