// One stream connection between a guest port and a host port (virtio 1.3, 5.10.6): its states, its credit in both
// directions, and what it has to tell the guest next. It never holds more than one receive buffer of the guest's bytes, however
// small the packets were that they came in, and leaves the host's bytes in the host stream until the guest has room.
import {
  VIRTIO_VSOCK_OP_CREDIT_REQUEST,
  VIRTIO_VSOCK_OP_CREDIT_UPDATE,
  VIRTIO_VSOCK_OP_REQUEST,
  VIRTIO_VSOCK_OP_RESPONSE,
  VIRTIO_VSOCK_OP_RST,
  VIRTIO_VSOCK_OP_RW,
  VIRTIO_VSOCK_OP_SHUTDOWN,
  VIRTIO_VSOCK_SHUTDOWN_RCV,
  VIRTIO_VSOCK_SHUTDOWN_SEND,
} from '../abi.gen.ts';
import type { HostStream } from './backend.ts';
import { type PacketHeader, packetKind } from './request.ts';

export type ConnectionState =
  /** The guest asked; the host's stream is not open yet. */
  | 'connecting-to-host'
  /** The host asked; the guest has not answered yet. */
  | 'connecting-to-guest'
  | 'established'
  /** Only a RST is left to be sent to the guest. */
  | 'resetting'
  /** Not in the table any more. */
  | 'closed';

/** A packet for the guest, its addresses and credit fields left to the device. */
export interface OutgoingPacket {
  readonly operation: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

export interface ConnectionPorts {
  readonly hostPort: number;
  readonly guestPort: number;
}

/** What a connection tells the device that owns it. */
export interface ConnectionOwner {
  /** `hasPacket` may have become true. */
  schedule(connection: Connection): void;
  /** The tuple of ports is free again; nothing will be sent any more. */
  forget(connection: Connection): void;
  /** The stream is done with its last bytes (always after `forget`). */
  released(connection: Connection): void;
  /** Payload went through. */
  moved(direction: 'to-host' | 'to-guest', byteCount: number): void;
}

/** How a host's attempt to reach the guest ended. */
export interface ConnectAnswer {
  accepted(hostPort: number): void;
  refused(reason: string): void;
}

const SHUTDOWN_BOTH = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;
const NO_PAYLOAD = new Uint8Array();

export class Connection implements ConnectionPorts {
  readonly hostPort: number;
  readonly guestPort: number;
  /** Receive buffer that the guest may fill, bytes. */
  readonly bufferSize: number;
  readonly #owner: ConnectionOwner;
  readonly #answer: ConnectAnswer | undefined;
  #stream: HostStream | undefined;
  /** The stream of an ended connection that has yet to pass on its last bytes. */
  #lingering: HostStream | undefined;
  #state: ConnectionState;

  /** A REQUEST or RESPONSE that is due. */
  #handshake: number | undefined;
  #creditUpdateDue = false;
  #creditRequested = false;
  /** The guest's SHUTDOWN flags: permanent once sent (virtio 1.3, 5.10.6.6). */
  #guestShutdown = 0;
  /** Whether we told the guest that the host sends no more. */
  #shutdownSent = false;

  #isWriting = false;
  /**
   * Bytes that wait until the stream is done with those before: a write of its own for each packet of one byte would cost
   * hundreds of bytes.
   */
  #gathered: Uint8Array | undefined;
  #gatheredLength = 0;

  // Free-running byte counters modulo 2^32 (virtio 1.3, 5.10.6.3).
  #receivedCount = 0;
  #forwardedCount = 0;
  #announcedForwardedCount = 0;
  #sentCount = 0;
  #peerBufferSize = 0;
  #peerForwardedCount = 0;

  private constructor(
    owner: ConnectionOwner,
    ports: ConnectionPorts,
    bufferSize: number,
    state: ConnectionState,
    answer: ConnectAnswer | undefined,
  ) {
    this.#owner = owner;
    this.hostPort = ports.hostPort;
    this.guestPort = ports.guestPort;
    this.bufferSize = bufferSize;
    this.#state = state;
    this.#answer = answer;
  }

  /** A connection that the guest's REQUEST asks for. `attach` gives it its stream. */
  static fromGuest(owner: ConnectionOwner, request: PacketHeader, bufferSize: number): Connection {
    const ports = { hostPort: request.destinationPort, guestPort: request.sourcePort };
    const connection = new Connection(owner, ports, bufferSize, 'connecting-to-host', undefined);
    connection.#takeCredit(request);
    return connection;
  }

  /** A connection that the host asks for: a REQUEST is due. */
  static fromHost(
    owner: ConnectionOwner,
    ports: ConnectionPorts,
    bufferSize: number,
    stream: HostStream,
    answer: ConnectAnswer,
  ): Connection {
    const connection = new Connection(owner, ports, bufferSize, 'connecting-to-guest', answer);
    connection.#stream = stream;
    connection.#handshake = VIRTIO_VSOCK_OP_REQUEST;
    return connection;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Bytes passed on to the host, modulo 2^32: the fwd_cnt of every packet. */
  get forwardedCount(): number {
    return this.#forwardedCount;
  }

  attach(stream: HostStream): void {
    this.#stream = stream;
  }

  /** The host's stream is open. */
  opened(): void {
    if (this.#state !== 'connecting-to-host') return;
    this.#state = 'established';
    this.#handshake = VIRTIO_VSOCK_OP_RESPONSE;
    this.#owner.schedule(this);
  }

  /** The host's stream has more to read, or ended. */
  readable(): void {
    this.#owner.schedule(this);
  }

  /** The host's stream broke: the guest gets a RST. */
  failed(): void {
    if (this.#lingering !== undefined) {
      this.#released();
      return;
    }
    const stream = this.#stream;
    this.#stream = undefined;
    this.reset('the host end of the connection broke');
    if (stream === undefined) return;
    stream.destroy();
    this.#owner.released(this);
  }

  /** A packet from the guest, and its payload: a copy that is ours. */
  receive(header: PacketHeader, payload: Uint8Array): void {
    if (this.#state === 'resetting' || this.#state === 'closed') return;
    this.#takeCredit(header);
    const violation = this.#apply(header, payload);
    if (violation !== undefined) this.reset(violation);
    else this.#owner.schedule(this);
  }

  /** @returns what makes no sense about the packet, if anything */
  #apply(header: PacketHeader, payload: Uint8Array): string | undefined {
    const kind = packetKind(header.operation);
    switch (kind) {
      case 'response':
        if (this.#state !== 'connecting-to-guest' || this.#handshake !== undefined) return 'a RESPONSE to no REQUEST';
        this.#state = 'established';
        this.#answer?.accepted(this.hostPort);
        return undefined;
      case 'data':
        return this.#takeData(payload) ? undefined : 'data beyond the credit, or on a closed direction';
      case 'shutdown':
        this.#takeShutdown(header.flags & SHUTDOWN_BOTH);
        return undefined;
      case 'credit-request':
        this.#creditUpdateDue = true;
        return undefined;
      case 'credit-update':
        return undefined;
      case 'reset':
        this.#end('the guest refused or reset the connection');
        return undefined;
      case 'request':
      case 'unsupported':
        return `operation ${header.operation} on an open connection`;
    }
  }

  /** Ends the connection; the guest gets a RST. What it sent before still reaches the host. */
  reset(reason: string): void {
    if (this.#state === 'resetting' || this.#state === 'closed') return;
    this.#refuse(reason);
    this.#releaseStream();
    this.#state = 'resetting';
    this.#owner.schedule(this);
  }

  /** Ends the connection and tells the guest nothing: its driver knows, or is gone. */
  drop(reason: string): void {
    if (this.#state !== 'closed') this.#end(reason);
  }

  get hasPacket(): boolean {
    if (this.#state === 'resetting' || this.#handshake !== undefined) return this.#state !== 'closed';
    if (this.#state !== 'established') return false;
    return (
      this.#creditUpdateDue ||
      this.#isShutdownDue() ||
      (this.#hasDataForGuest() && (this.#peerFree() > 0 || !this.#creditRequested))
    );
  }

  /** The next packet for the guest, with at most `maxPayload` (one or more) bytes. Call only while `hasPacket`. */
  nextPacket(maxPayload: number): OutgoingPacket {
    if (this.#state === 'resetting') {
      this.#close();
      return control(VIRTIO_VSOCK_OP_RST);
    }
    // Every packet tells our credit, so each is an update too.
    this.#creditUpdateDue = false;
    this.#announcedForwardedCount = this.#forwardedCount;
    if (this.#handshake !== undefined) {
      const operation = this.#handshake;
      this.#handshake = undefined;
      return control(operation);
    }
    if (this.#hasDataForGuest()) {
      const free = this.#peerFree();
      if (free > 0) return this.#nextData(Math.min(free, maxPayload));
      if (!this.#creditRequested) {
        this.#creditRequested = true;
        return control(VIRTIO_VSOCK_OP_CREDIT_REQUEST);
      }
    }
    if (this.#isShutdownDue()) {
      this.#shutdownSent = true;
      return control(VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND);
    }
    return control(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
  }

  #nextData(length: number): OutgoingPacket {
    const payload = this.#stream?.read(length) ?? NO_PAYLOAD;
    this.#sentCount = (this.#sentCount + payload.length) >>> 0;
    this.#owner.moved('to-guest', payload.length);
    return { operation: VIRTIO_VSOCK_OP_RW, flags: 0, payload };
  }

  /** @returns whether the guest was allowed to send this */
  #takeData(payload: Uint8Array): boolean {
    const inBuffer = (this.#receivedCount - this.#forwardedCount) >>> 0;
    // "VIRTIO_VSOCK_OP_RW data packets MUST only be transmitted when the peer has sufficient free buffer space for the
    // payload" (virtio 1.3, 5.10.6.3.1).
    const isAllowed =
      this.#state === 'established' &&
      (this.#guestShutdown & VIRTIO_VSOCK_SHUTDOWN_SEND) === 0 &&
      payload.length <= this.bufferSize - inBuffer;
    if (!isAllowed) return false;
    if (payload.length === 0) return true;
    this.#receivedCount = (this.#receivedCount + payload.length) >>> 0;
    this.#owner.moved('to-host', payload.length);
    if (this.#isWriting) this.#gather(payload);
    else this.#write(payload);
    return true;
  }

  #write(bytes: Uint8Array): void {
    this.#isWriting = true;
    this.#stream?.write(bytes, () => {
      this.#isWriting = false;
      this.#forwardedCount = (this.#forwardedCount + bytes.length) >>> 0;
      // The guest waits once it knows of no free space: half a buffer early keeps it going.
      const unannounced = (this.#receivedCount - this.#announcedForwardedCount) >>> 0;
      if (unannounced > this.bufferSize / 2) this.#creditUpdateDue = true;
      this.#writeGathered();
      this.#owner.schedule(this);
    });
  }

  /** The credit that the guest has bounds what is gathered. */
  #gather(payload: Uint8Array): void {
    this.#gathered ??= new Uint8Array(this.bufferSize);
    this.#gathered.set(payload, this.#gatheredLength);
    this.#gatheredLength += payload.length;
  }

  #writeGathered(): void {
    const gathered = this.#gathered?.subarray(0, this.#gatheredLength);
    this.#gathered = undefined;
    this.#gatheredLength = 0;
    if (gathered !== undefined) this.#write(gathered);
  }

  #takeShutdown(flags: number): void {
    const isNew = (flag: number) => (flags & flag) !== 0 && (this.#guestShutdown & flag) === 0;
    const endsSending = isNew(VIRTIO_VSOCK_SHUTDOWN_SEND);
    this.#guestShutdown |= flags;
    if (this.#guestShutdown === SHUTDOWN_BOTH) {
      // "Clean disconnect is achieved by [...] SHUTDOWN packets that indicate no more data will be sent and received,
      // followed by a VIRTIO_VSOCK_OP_RST response from the peer" (virtio 1.3, 5.10.6.6). The guest's last bytes are ours
      // by now: its end is free at once, while the host may take its time to read them.
      this.reset('the guest shut the connection down');
    } else if (endsSending) {
      this.#writeGathered();
      this.#stream?.end(() => {});
    }
  }

  #takeCredit(header: PacketHeader): void {
    this.#peerBufferSize = header.bufferSize;
    this.#peerForwardedCount = header.forwardedCount;
    if (this.#peerFree() > 0) this.#creditRequested = false;
  }

  /** "peer_free = peer_buf_alloc - (tx_cnt - peer_fwd_cnt)" (virtio 1.3, 5.10.6.3); a buffer that shrank has none. */
  #peerFree(): number {
    return Math.max(0, this.#peerBufferSize - ((this.#sentCount - this.#peerForwardedCount) >>> 0));
  }

  #hasDataForGuest(): boolean {
    return (
      this.#stream !== undefined &&
      (this.#guestShutdown & VIRTIO_VSOCK_SHUTDOWN_RCV) === 0 &&
      this.#stream.readableLength > 0
    );
  }

  #isShutdownDue(): boolean {
    return !this.#shutdownSent && this.#stream !== undefined && this.#stream.ended && this.#stream.readableLength === 0;
  }

  #refuse(reason: string): void {
    if (this.#state === 'connecting-to-guest') this.#answer?.refused(reason);
  }

  #end(reason: string): void {
    this.#refuse(reason);
    this.#releaseStream();
    this.#close();
  }

  #close(): void {
    this.#state = 'closed';
    this.#owner.forget(this);
  }

  /** Lets go of the stream once the host has what the guest has sent, however the connection ended. */
  #releaseStream(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    if (this.#state === 'established') this.#writeGathered();
    this.#stream = undefined;
    this.#lingering = stream;
    if (this.#state === 'established') stream.end(() => this.#released());
    else this.#released();
  }

  #released(): void {
    if (this.#lingering === undefined) return;
    this.#lingering.destroy();
    this.#lingering = undefined;
    this.#owner.released(this);
  }
}

function control(operation: number, flags = 0): OutgoingPacket {
  return { operation, flags, payload: NO_PAYLOAD };
}
