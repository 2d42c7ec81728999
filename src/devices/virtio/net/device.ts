// The network device (virtio 1.3, 5.1): one queue for each direction, and one for commands. It has no filter: the driver gets
// every frame that the back end has, and chooses.
import {
  VIRTIO_F_VERSION_1,
  VIRTIO_ID_NET,
  VIRTIO_NET_ERR,
  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_GUEST_ANNOUNCE,
  VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_MTU,
  VIRTIO_NET_F_STATUS,
  VIRTIO_NET_OK,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '../abi.gen.ts';
import type { Chain } from '../chain.ts';
import type { ActivationContext, ActiveDevice, DeviceState, VirtioDevice } from '../device.ts';
import { drain, type QueueWork, requireQueue } from '../drain.ts';
import { featureSet, hasFeature } from '../features.ts';
import type { QueueServer } from '../queue-server.ts';
import type { RateLimiter } from '../rate-limiter.ts';
import { isQueueServer, type NetBackend, type PacketBackend } from './backend.ts';
import { NetConfigSpace } from './config-space.ts';
import { parseCommand } from './control.ts';
import type { Counters, Direction, Link } from './link.ts';
import {
  guestOffloadFeatures,
  guestOffloads,
  hasLargeFrames,
  hostOffloadFeatures,
  NO_OFFLOADS,
  type Offloads,
} from './offloads.ts';
import { frameSizeOf, MAX_FRAME_SIZE } from './packet.ts';
import { Receiver } from './receive.ts';
import { decodeState, encodeState, type NetState } from './state.ts';
import { Transmitter } from './transmit.ts';

/** The queues (virtio 1.3, 5.1.2), with one pair. */
export const NET_QUEUE = { receive: 0, transmit: 1, control: 2 } as const;
const DATA_QUEUE_SIZE = 256;
/** A command has a few parts, and Linux gives one at a time. */
const CONTROL_QUEUE_SIZE = 16;

/** What is this device's own, whoever moves the frames. */
const OWN_FEATURES = featureSet(VIRTIO_NET_F_MAC, VIRTIO_NET_F_STATUS);
const EVERY_OFFLOAD: Offloads = { checksum: true, tso4: true, tso6: true, ecn: true, uso: true };
/** What a queue server knows of the rings and the frames in them. */
const SERVED_FEATURES =
  featureSet(VIRTIO_F_VERSION_1, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_NET_F_MRG_RXBUF) |
  hostOffloadFeatures(EVERY_OFFLOAD) |
  guestOffloadFeatures(EVERY_OFFLOAD);

export interface NetOptions {
  /** For logs: "eth0". */
  readonly name: string;
  /** The guest's address, 6 bytes. */
  readonly mac: Uint8Array;
  /** What the driver is told, bytes. @default not told: drivers take 1500 */
  readonly mtu?: number;
  /** Without one the link is down, until `connect`. */
  readonly backend?: NetBackend;
  /** What the driver is promised while there is no back end: the one to come must have it. @default none */
  readonly offloads?: Offloads;
  /** Whether the link is up at the start. @default true when there is a back end */
  readonly isLinkUp?: boolean;
  /** What a guest may receive, and send. Without effect on a queue server. */
  readonly receiveLimiter?: RateLimiter;
  readonly transmitLimiter?: RateLimiter;
  /** Told when the back end failed, for logs; the driver sees the link go down. */
  readonly onError?: (error: unknown) => void;
}

export class NetDevice implements VirtioDevice, Link {
  readonly name: string;
  readonly deviceId = VIRTIO_ID_NET;
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  readonly receive: Direction;
  readonly transmit: Direction;
  readonly #config: NetConfigSpace;
  /** The address that the device was made with. */
  #mac: Uint8Array;
  readonly #mtu: number | undefined;
  readonly #offloads: Offloads;
  readonly #server: QueueServer | undefined;
  readonly #onError: (error: unknown) => void;
  #backend: PacketBackend | undefined;
  /** What the driver takes unfinished now. */
  #guestOffloads: Offloads = NO_OFFLOADS;
  #active: Activation | undefined;
  /** The configuration changed while there was no driver to tell. */
  #hasNews = false;

  /** @throws RangeError when the MAC address or the MTU cannot be */
  constructor(options: NetOptions) {
    const { name, mac, mtu, backend, receiveLimiter, transmitLimiter, onError = () => {} } = options;
    this.name = `net:${name}`;
    this.#mac = mac.slice();
    this.#mtu = mtu;
    this.#config = new NetConfigSpace(this.#mac, mtu);
    this.#config.isLinkUp = options.isLinkUp ?? backend !== undefined;
    this.#onError = onError;
    this.receive = { counters: noCounts(), limiter: receiveLimiter };
    this.transmit = { counters: noCounts(), limiter: transmitLimiter };
    const own = OWN_FEATURES | (mtu === undefined ? 0n : featureSet(VIRTIO_NET_F_MTU));
    if (backend !== undefined && isQueueServer(backend)) {
      this.#server = backend;
      this.#offloads = NO_OFFLOADS;
      this.features = own | (backend.features & SERVED_FEATURES);
      this.queueSizes = [DATA_QUEUE_SIZE, DATA_QUEUE_SIZE];
      return;
    }
    this.#backend = backend;
    this.#offloads = backend?.offloads ?? options.offloads ?? NO_OFFLOADS;
    this.features = own | embeddedFeatures(this.#offloads);
    this.queueSizes = [DATA_QUEUE_SIZE, DATA_QUEUE_SIZE, CONTROL_QUEUE_SIZE];
  }

  get configurationSpace(): Uint8Array {
    return this.#config.bytes;
  }

  get backend(): PacketBackend | undefined {
    return this.#backend;
  }

  get isUp(): boolean {
    return this.#config.isLinkUp;
  }

  get maxFrameSize(): number {
    // A driver that was not told the MTU may have set any.
    const isKnown = this.#mtu !== undefined && !hasLargeFrames(this.#guestOffloads);
    return isKnown ? frameSizeOf(this.#mtu) : MAX_FRAME_SIZE;
  }

  /**
   * Plugs the cable in, with somebody at its other end, or out again. While it is out, frames of the guest are dropped, and
   * those for it wait where they are. Nothing changes for a device that has no back end.
   */
  setLink(isUp: boolean): void {
    if (isUp === this.isUp || (isUp && this.#backend === undefined && this.#server === undefined)) return;
    this.#config.isLinkUp = isUp;
    if (this.#active === undefined) this.#hasNews = true;
    else this.#active.linkChanged();
  }

  /**
   * Gives the device the back end that it was made without; the link goes up.
   * @throws RangeError when it has one, or when this one cannot do what the driver was promised
   */
  connect(backend: PacketBackend): void {
    if (this.#backend !== undefined || this.#server !== undefined) throw new RangeError(`${this.name} is connected`);
    const promised = Object.entries(this.#offloads).filter(([, isPromised]) => isPromised);
    const missing = promised.filter(([kind]) => !backend.offloads[kind as keyof Offloads]).map(([kind]) => kind);
    if (missing.length > 0) throw new RangeError(`the back end for ${this.name} cannot do ${missing.join(', ')}`);
    this.#backend = backend;
    if (this.#active !== undefined) backend.setOffloads(this.#guestOffloads);
    this.setLink(true);
  }

  lose(error: unknown): void {
    this.#onError(error);
    this.setLink(false);
  }

  /** @throws QueueError when the driver did not set up both data queues; what a queue server throws */
  activate(context: ActivationContext): ActiveDevice {
    const state = context.restored === undefined ? undefined : decodeState(context.restored);
    if (state !== undefined) this.#restore(state);
    const active =
      this.#server === undefined ? this.#activateEmbedded(context, state) : this.#activateServed(context, this.#server);
    this.#active = active;
    if (this.#hasNews) context.defer(() => context.interrupt.configurationChange());
    this.#hasNews = false;
    return active;
  }

  idle(): Promise<void> | undefined {
    return this.#server?.idle();
  }

  metrics(): Readonly<Record<string, number>> {
    if (this.#server !== undefined) return {};
    const { receive, transmit } = this;
    return {
      received_packets: receive.counters.packets,
      received_bytes: receive.counters.bytes,
      received_dropped_packets: receive.counters.dropped,
      receive_throttled_events: receive.limiter?.throttled ?? 0,
      sent_packets: transmit.counters.packets,
      sent_bytes: transmit.counters.bytes,
      sent_dropped_packets: transmit.counters.dropped,
      send_throttled_events: transmit.limiter?.throttled ?? 0,
    };
  }

  #activateEmbedded(context: ActivationContext, state: NetState | undefined): Activation {
    this.#setGuestOffloads(guestOffloads(state?.guestOffloads ?? context.features));
    // Neighbours may know the address on another port, of the VM's former host.
    if (state !== undefined && hasFeature(context.features, VIRTIO_NET_F_GUEST_ANNOUNCE)) {
      this.#config.isAnnouncing = true;
      this.#hasNews = true;
    }
    return new EmbeddedNet(context, this, {
      command: (chain) => this.#execute(context, chain),
      saveState: () => this.#state(),
      onDispose: (active) => this.#ended(active),
    });
  }

  #activateServed(context: ActivationContext, server: QueueServer): Activation {
    const queues = server.start({ ...context, features: context.features & server.features });
    const active: Activation = {
      linkChanged: () => context.guard(() => context.interrupt.configurationChange()),
      quiesce: () => queues.quiesce(),
      resume: () => queues.resume(),
      saveState: () => this.#state(),
      [Symbol.dispose]: () => {
        this.#ended(active);
        queues[Symbol.dispose]();
      },
    };
    return active;
  }

  #ended(active: Activation): void {
    if (this.#active === active) this.#active = undefined;
    // The next driver finds the address that the device was made with (virtio 1.3, 5.1.6.5.2: that of the last driver goes).
    this.#config.mac = this.#mac;
    this.#config.isAnnouncing = false;
  }

  #setGuestOffloads(offloads: Offloads): void {
    this.#guestOffloads = offloads;
    try {
      this.#backend?.setOffloads(offloads);
    } catch (error) {
      this.lose(error);
    }
  }

  #execute(context: ActivationContext, chain: Chain): boolean {
    const command = parseCommand(chain, context.features);
    switch (command.kind) {
      case 'set-mac':
        this.#config.mac = command.mac;
        break;
      case 'set-guest-offloads':
        this.#setGuestOffloads(guestOffloads(command.offloads));
        return true;
      case 'announced':
        this.#config.isAnnouncing = false;
        break;
      case 'unsupported':
        return false;
    }
    context.interrupt.configurationChange();
    return true;
  }

  #state(): DeviceState {
    const { receive, transmit } = this;
    return encodeState({
      mac: this.#config.mac,
      ownMac: this.#mac,
      isUp: this.isUp,
      guestOffloads: guestOffloadFeatures(this.#guestOffloads),
      receiveLimiter: receive.limiter?.state,
      transmitLimiter: transmit.limiter?.state,
    });
  }

  #restore({ mac, ownMac, isUp, receiveLimiter, transmitLimiter }: NetState): void {
    this.#config.mac = mac;
    this.#mac = ownMac;
    // Who is restored without a back end stays without a link.
    this.#config.isLinkUp = isUp && (this.#backend !== undefined || this.#server !== undefined);
    if (receiveLimiter !== undefined && this.receive.limiter !== undefined) this.receive.limiter.state = receiveLimiter;
    if (transmitLimiter !== undefined && this.transmit.limiter !== undefined) {
      this.transmit.limiter.state = transmitLimiter;
    }
  }
}

interface Activation extends ActiveDevice {
  /** The cable was plugged in or out. */
  linkChanged(): void;
}

/** What an activation needs of its device, beside the link. */
interface Owner {
  /** Carries a command out. @returns whether that was possible */
  command(chain: Chain): boolean;
  saveState(): DeviceState;
  onDispose(active: Activation): void;
}

class EmbeddedNet implements Activation {
  readonly #context: ActivationContext;
  readonly #owner: Owner;
  readonly #receiver: Receiver;
  readonly #transmitter: Transmitter;
  readonly #control: QueueWork | undefined;

  constructor(context: ActivationContext, link: Link, owner: Owner) {
    this.#context = context;
    this.#owner = owner;
    const { receive, transmit, control } = NET_QUEUE;
    this.#receiver = new Receiver(context, receive, requireQueue(context, receive), link);
    this.#transmitter = new Transmitter(context, transmit, requireQueue(context, transmit), link);
    // A driver without a use for commands need not set this one up.
    const queue = hasFeature(context.features, VIRTIO_NET_F_CTRL_VQ) ? context.queues[control] : undefined;
    if (queue !== undefined) {
      this.#control = { queueIndex: control, queue, handle: (chain) => this.#command(chain, queue) };
    }
    context.defer(this.#receiver.run);
  }

  queueNotified(queueIndex: number): void {
    if (queueIndex === NET_QUEUE.receive) this.#receiver.run();
    else if (queueIndex === NET_QUEUE.transmit) this.#transmitter.run();
    else if (this.#control !== undefined) drain(this.#context, this.#control);
  }

  linkChanged(): void {
    this.#context.guard(() => {
      this.#context.interrupt.configurationChange();
      this.#stop();
    });
    this.#context.defer(() => {
      this.#receiver.run();
      this.#transmitter.run();
    });
  }

  /** The bells that ring after a rest set everything going again. */
  async quiesce(): Promise<void> {
    this.#stop();
  }

  saveState(): DeviceState {
    return this.#owner.saveState();
  }

  [Symbol.dispose](): void {
    this.#stop();
    this.#owner.onDispose(this);
  }

  #stop(): void {
    this.#receiver.stop();
    this.#transmitter.stop();
  }

  #command(chain: Chain, queue: QueueWork['queue']): void {
    const isDone = this.#owner.command(chain);
    chain.writable.write(0, Uint8Array.of(isDone ? VIRTIO_NET_OK : VIRTIO_NET_ERR));
    queue.putUsed(chain, 1);
  }
}

function embeddedFeatures(offloads: Offloads): bigint {
  const forGuest = guestOffloadFeatures(offloads);
  return (
    featureSet(
      VIRTIO_F_VERSION_1,
      VIRTIO_RING_F_EVENT_IDX,
      VIRTIO_RING_F_INDIRECT_DESC,
      VIRTIO_NET_F_MRG_RXBUF,
      VIRTIO_NET_F_CTRL_VQ,
      VIRTIO_NET_F_CTRL_MAC_ADDR,
      VIRTIO_NET_F_GUEST_ANNOUNCE,
      ...(forGuest === 0n ? [] : [VIRTIO_NET_F_CTRL_GUEST_OFFLOADS]),
    ) |
    hostOffloadFeatures(offloads) |
    forGuest
  );
}

function noCounts(): Counters {
  return { packets: 0, bytes: 0, dropped: 0 };
}
