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
import type { ActivationContext, ActiveDevice, DeviceState, VirtioDevice } from '../device.ts';
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

/**
 * How long a driver may take to put back the buffer of a transport reset before it is taken to have read it, milliseconds.
 * Linux puts it back as soon as it has reset its sockets.
 */
const TRANSPORT_RESET_GRACE_MS = 1000;

export interface VsockOptions {
  /** The guest's context id, 3 or above. */
  readonly guestCid: number;
  readonly host: VsockHost;
  readonly timers: Timers;
  /** Connections at a time, those whose last bytes the host has not read yet included. */
  readonly maxConnections?: number;
  /** Receive buffer of each connection, bytes: with `maxConnections` it bounds the memory a guest can make us use. */
  readonly bufferSize?: number;
  /** How long a guest may take to answer a connection that the host opens, milliseconds. */
  readonly connectTimeoutMs?: number;
}

const DEFAULT_MAX_CONNECTIONS = 512;
const DEFAULT_BUFFER_SIZE = 128 * 1024;
/**
 * Ten times Linux' own for AF_VSOCK (VSOCK_DEFAULT_CONNECT_TIMEOUT), which a guest needs when many start at once on few processors.
 * A guest in which nobody listens refuses at once.
 */
const DEFAULT_CONNECT_TIMEOUT_MS = 20_000;

type Settings = Required<VsockOptions>;

interface VsockCounts {
  rx_packets: number;
  rx_bytes: number;
  tx_packets: number;
  tx_bytes: number;
  connections_from_guest: number;
  connections_from_host: number;
  refused_connections: number;
}

export class VsockDevice implements VirtioDevice, GuestConnector {
  readonly name = 'vsock';
  readonly deviceId = VIRTIO_ID_VSOCK;
  // Two descriptors a packet do not pay for an indirect table. Without VIRTIO_VSOCK_F_* stream sockets are implied
  // (virtio 1.3, 5.10.3).
  readonly features: bigint = featureSet(VIRTIO_F_VERSION_1, VIRTIO_RING_F_EVENT_IDX);
  readonly queueSizes = [DATA_QUEUE_SIZE, DATA_QUEUE_SIZE, EVENT_QUEUE_SIZE];
  readonly configurationSpace: Uint8Array;
  readonly #settings: Settings;
  readonly #counts: VsockCounts = {
    rx_packets: 0,
    rx_bytes: 0,
    tx_packets: 0,
    tx_bytes: 0,
    connections_from_guest: 0,
    connections_from_host: 0,
    refused_connections: 0,
  };
  #active: ActiveVsock | undefined;

  /** @throws RangeError when the context id is reserved */
  constructor(options: VsockOptions) {
    this.configurationSpace = vsockConfigSpace(options.guestCid);
    this.#settings = {
      maxConnections: DEFAULT_MAX_CONNECTIONS,
      bufferSize: DEFAULT_BUFFER_SIZE,
      connectTimeoutMs: DEFAULT_CONNECT_TIMEOUT_MS,
      ...options,
    };
  }

  /**
   * After a restore no connection has its other end any more: the driver is told so (virtio 1.3, 5.10.6.8), and its listeners
   * stay.
   * @throws QueueError when the driver did not set up all three queues; RangeError when a restored state is none of a vsock's
   */
  activate(context: ActivationContext): ActiveDevice {
    const active = new ActiveVsock(context, this.#settings, this.#counts, () => {
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

  /** Packets and payload by the names of the guest's queues: what it receives is `rx`. */
  metrics(): Readonly<Record<string, number>> {
    return { ...this.#counts };
  }
}

/** How far the driver is with VIRTIO_VSOCK_EVENT_TRANSPORT_RESET. */
type TransportReset =
  /** There was none, or the driver has read it. */
  | 'none'
  /** It is to be sent, once there is a buffer. */
  | 'due'
  /** It is in the ring. Until it is read, it would end connections that are made now. */
  | 'sent';

const NO_EVENTS: HostStreamEvents = { opened: () => {}, readable: () => {}, failed: () => {} };

class ActiveVsock implements ActiveDevice, ConnectionOwner {
  readonly #context: ActivationContext;
  readonly #settings: Settings;
  readonly #counts: VsockCounts;
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
  #transportReset: TransportReset;
  #transportResetGrace: Disposable | undefined;
  /** The event queue's buffers while a reset is on its way, in the order of the ring. */
  readonly #eventBuffers: Chain[] = [];
  #nextHostPort: number;
  #isSending = false;
  #isReceiving = false;

  constructor(context: ActivationContext, settings: Settings, counts: VsockCounts, onDispose: () => void) {
    this.#context = context;
    this.#settings = settings;
    this.#counts = counts;
    this.#transportReset = context.restored === undefined ? 'none' : 'due';
    this.#nextHostPort = context.restored === undefined ? FIRST_HOST_PORT : restoredPort(context.restored);
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
      this.#counts.refused_connections += 1;
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
        this.#counts.refused_connections += 1;
        answer.refused(reason);
      },
    });
    this.#streams += 1;
    this.#counts.connections_from_host += 1;
    this.#connections.set(keyOf(ports), connection);
    timer = this.#settings.timers.after(this.#settings.connectTimeoutMs, () =>
      this.#context.guard(() => {
        if (connection.state === 'connecting-to-guest') connection.reset('the guest did not answer in time');
      }),
    );
    this.#context.guard(() => this.schedule(connection));
    return this.#eventsOf(connection);
  }

  /**
   * A socket that the guest's program has not closed yet keeps its ports, reset or not: the next process goes on with ports
   * of its own.
   */
  saveState(): DeviceState {
    return { nextHostPort: this.#nextHostPort };
  }

  schedule(connection: Connection): void {
    if (!connection.hasPacket) return;
    if (this.#awaitsReset() && connection.state === 'connecting-to-guest') return;
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

  moved(direction: 'to-host' | 'to-guest', byteCount: number): void {
    if (direction === 'to-host') this.#counts.tx_bytes += byteCount;
    else this.#counts.rx_bytes += byteCount;
  }

  [Symbol.dispose](): void {
    this.#transportResetGrace?.[Symbol.dispose]();
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
    this.#counts.tx_packets += 1;
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
      this.#counts.refused_connections += 1;
      this.#refuseStray(header);
      return;
    }
    this.#counts.connections_from_guest += 1;
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
    this.#counts.rx_packets += 1;
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

  /** @throws QueueError when a buffer cannot hold an event */
  #sendEvents(): void {
    if (!this.#awaitsReset()) return;
    // All that is there is taken, so that what comes after the event is what the driver puts back.
    const before = this.#eventBuffers.length;
    for (let chain = this.#events.take(); chain !== undefined; chain = this.#events.take()) {
      this.#eventBuffers.push(chain);
    }
    if (this.#transportReset === 'due') this.#sendTransportReset();
    else if (this.#eventBuffers.length > before) this.#endTransportReset();
    // What came meanwhile is looked at in another turn: a driver could move its index to and fro for ever.
    if (this.#awaitsReset() && this.#events.requestNotifications()) this.#context.defer(() => this.#sendEvents());
  }

  /** @throws QueueError when the buffer cannot hold an event */
  #sendTransportReset(): void {
    const chain = this.#eventBuffers.shift();
    if (chain === undefined) return;
    const event = new Uint8Array(virtio_vsock_event.sizeof);
    new DataView(event.buffer).setUint32(virtio_vsock_event.id, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET, true);
    chain.writable.write(0, event);
    this.#events.putUsed(chain, event.length);
    this.#transportReset = 'sent';
    this.#transportResetGrace = this.#settings.timers.after(TRANSPORT_RESET_GRACE_MS, () =>
      this.#context.guard(() => this.#endTransportReset()),
    );
    interruptIfWanted(this.#context, VSOCK_QUEUE.event, this.#events);
  }

  /** Whether the driver has yet to read that the transport was reset. */
  #awaitsReset(): boolean {
    return this.#transportReset !== 'none';
  }

  #endTransportReset(): void {
    this.#transportResetGrace?.[Symbol.dispose]();
    this.#transportReset = 'none';
    for (const connection of this.#connections.values()) this.schedule(connection);
  }

  get #guestCid(): number {
    return this.#settings.guestCid;
  }
}

function keyOf({ hostPort, guestPort }: ConnectionPorts): string {
  return `${hostPort}:${guestPort}`;
}

/** @throws RangeError when there is none */
function restoredPort({ nextHostPort }: DeviceState): number {
  const isPort =
    typeof nextHostPort === 'number' &&
    Number.isInteger(nextHostPort) &&
    nextHostPort >= FIRST_HOST_PORT &&
    nextHostPort <= LAST_HOST_PORT;
  if (isPort) return nextHostPort;
  throw new RangeError('the state of a vsock has no port for the next connection of the host');
}
