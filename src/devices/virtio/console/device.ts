// The console device (virtio 1.3, 5.3) with one port: bytes both ways and the size of the terminal. Neither side can make us
// hold more than a piece of the other's bytes: the guest's output stays in its buffers until the host took what was before,
// and who gives input is told when to wait.

import { KIB } from '../../../lib/units.ts';
import {
  VIRTIO_CONSOLE_F_EMERG_WRITE,
  VIRTIO_CONSOLE_F_SIZE,
  VIRTIO_F_VERSION_1,
  VIRTIO_ID_CONSOLE,
  VIRTIO_RING_F_EVENT_IDX,
  virtio_console_config,
} from '../abi.gen.ts';
import type { Chain } from '../chain.ts';
import type { ActivationContext, ActiveDevice, DeviceState, VirtioDevice } from '../device.ts';
import { drain, interruptIfWanted, type QueueWork, requireQueue } from '../drain.ts';
import { featureSet, hasFeature } from '../features.ts';
import type { Virtqueue } from '../queue.ts';
import { QueueError } from '../queue-error.ts';
import type { Timers } from '../timers.ts';
import { type ConsoleSize, consoleConfigSpace, isSizeKnown, setConsoleSize } from './config-space.ts';

/** The queues of port 0 (virtio 1.3, 5.3.2). */
export const CONSOLE_QUEUE = { receive: 0, transmit: 1 } as const;
const QUEUE_SIZE = 64;

/** Bytes of output that are passed on at once. */
export const OUTPUT_PIECE: number = 16 * KIB;
/** Bytes of output before the event loop serves others. */
const MAX_OUTPUT_PER_TURN = 256 * KIB;
/** Bytes of input that may wait for the guest before who gives it is asked to wait. */
export const MAX_PENDING_INPUT: number = 64 * KIB;
/**
 * Linux reads the size at a configuration change only, and misses one that comes before it has set up its port, of which it
 * tells nothing. So a size that was there first is announced some time after the driver did something, a few times.
 */
const SIZE_ANNOUNCEMENT_DELAY_MS = 100;
const MAX_SIZE_ANNOUNCEMENTS = 10;

export interface ConsoleOptions {
  /**
   * Takes what the guest wrote; the bytes are the host's then.
   * @returns a promise, which must not reject, when the guest is to wait with more until it has settled
   */
  readonly output: (bytes: Uint8Array) => Promise<void> | undefined;
  readonly timers: Timers;
  /** @default unknown: 0 by 0 */
  readonly size?: ConsoleSize;
}

interface ConsoleCounts {
  rx_bytes: number;
  tx_bytes: number;
}

export class ConsoleDevice implements VirtioDevice {
  readonly name = 'console';
  readonly deviceId = VIRTIO_ID_CONSOLE;
  readonly features: bigint = featureSet(
    VIRTIO_F_VERSION_1,
    VIRTIO_RING_F_EVENT_IDX,
    VIRTIO_CONSOLE_F_SIZE,
    VIRTIO_CONSOLE_F_EMERG_WRITE,
  );
  readonly queueSizes = [QUEUE_SIZE, QUEUE_SIZE];
  // Linux writes to its console under a spin lock, and polls the used ring meanwhile.
  readonly awaitedQueues: readonly number[] = [CONSOLE_QUEUE.transmit];
  readonly configurationSpace: Uint8Array;
  readonly #options: ConsoleOptions;
  readonly #counts: ConsoleCounts = { rx_bytes: 0, tx_bytes: 0 };
  readonly #input = new PendingInput();
  #isEmergencyHeld = false;
  #active: ActiveConsole | undefined;

  constructor(options: ConsoleOptions) {
    this.#options = options;
    this.configurationSpace = consoleConfigSpace(options.size ?? { columns: 0, rows: 0 });
  }

  /** @throws QueueError when the driver did not set up both queues; RangeError when a restored state is none of a console's */
  activate(context: ActivationContext): ActiveDevice {
    const active = new ActiveConsole(context, {
      output: (bytes) => this.#write(bytes),
      timers: this.#options.timers,
      input: this.#input,
      counts: this.#counts,
      hasSize: () => isSizeKnown(this.configurationSpace),
      onDispose: () => {
        if (this.#active === active) this.#active = undefined;
      },
    });
    this.#active = active;
    return active;
  }

  /**
   * Bytes for the guest, which are the device's then. None is lost: they wait for a driver, and for room.
   * @returns a promise when so many wait that the caller should, until it has settled
   */
  input(bytes: Uint8Array): Promise<void> | undefined {
    this.#input.push(bytes);
    this.#active?.inputArrived();
    return this.#input.hasRoom() ? undefined : this.#input.roomMade();
  }

  /** Tells the guest the size of its terminal, in characters. */
  resize(columns: number, rows: number): void {
    setConsoleSize(this.configurationSpace, { columns, rows });
    this.#active?.sizeChanged();
  }

  /**
   * An emergency write (virtio 1.3, 5.3.4): one character, whether the driver is up or not. A guest that makes them faster than
   * the host takes them loses some: it cannot be asked to wait. All else is read-only.
   */
  writeConfiguration(offset: number, bytes: Uint8Array): void {
    if (offset !== virtio_console_config.emerg_wr || this.#isEmergencyHeld) return;
    const busy = this.#write(bytes.slice(0, 1));
    this.#isEmergencyHeld = busy !== undefined;
    void busy?.then(() => {
      this.#isEmergencyHeld = false;
    });
  }

  /** Bytes by the names of the queues as the guest sees them: what it reads is `rx`. */
  metrics(): Readonly<Record<string, number>> {
    return { ...this.#counts };
  }

  #write(bytes: Uint8Array): Promise<void> | undefined {
    this.#counts.tx_bytes += bytes.length;
    return this.#options.output(bytes);
  }
}

/** Bytes that the guest has not read yet. */
class PendingInput {
  #pieces: Uint8Array[] = [];
  #length = 0;
  #waiters: (() => void)[] = [];

  get length(): number {
    return this.#length;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pieces.push(bytes);
    this.#length += bytes.length;
  }

  /** Takes up to `maxLength` bytes, at least one if there are any. */
  take(maxLength: number): Uint8Array {
    const [first = new Uint8Array()] = this.#pieces;
    const taken = first.subarray(0, maxLength);
    if (taken.length === first.length) this.#pieces.shift();
    else this.#pieces[0] = first.subarray(taken.length);
    this.#length -= taken.length;
    if (this.hasRoom()) for (const resolve of this.#waiters.splice(0)) resolve();
    return taken;
  }

  hasRoom(): boolean {
    return this.#length <= MAX_PENDING_INPUT;
  }

  roomMade(): Promise<void> {
    return new Promise((resolve) => void this.#waiters.push(resolve));
  }
}

/** What an activation needs of its device. */
interface Owner {
  output(bytes: Uint8Array): Promise<void> | undefined;
  readonly timers: Timers;
  readonly input: PendingInput;
  readonly counts: ConsoleCounts;
  hasSize(): boolean;
  onDispose(): void;
}

/** A buffer of the guest's of which `offset` bytes were passed on. */
interface Output {
  readonly chain: Chain;
  offset: number;
}

class ActiveConsole implements ActiveDevice {
  readonly #context: ActivationContext;
  readonly #owner: Owner;
  readonly #receive: Virtqueue;
  readonly #transmitWork: QueueWork;
  #output: Output | undefined;
  /** Bytes of the next buffer that were passed on before the snapshot. */
  #alreadyOut = 0;
  #outputThisTurn = 0;
  /** The host asked to wait, or others have their turn. */
  #isWaiting = false;
  #announcements = 0;
  #announcementTimer: Disposable | undefined;

  constructor(context: ActivationContext, owner: Owner) {
    this.#context = context;
    this.#owner = owner;
    this.#receive = requireQueue(context, CONSOLE_QUEUE.receive);
    const queue = requireQueue(context, CONSOLE_QUEUE.transmit);
    this.#transmitWork = {
      queueIndex: CONSOLE_QUEUE.transmit,
      queue,
      handle: (chain) => this.#transmit(chain),
      canTake: () => this.#output === undefined && !this.#isWaiting,
    };
    if (context.restored === undefined) return;
    this.#alreadyOut = restoredOffset(context.restored);
    // What changed since is announced by the transport, to a driver that has its port.
    this.#announcements = MAX_SIZE_ANNOUNCEMENTS;
  }

  queueNotified(queueIndex: number): void {
    this.#announceSizeSoon();
    if (queueIndex === CONSOLE_QUEUE.transmit) drain(this.#context, this.#transmitWork);
    else if (queueIndex === CONSOLE_QUEUE.receive) this.#fillBuffers();
  }

  inputArrived(): void {
    this.#context.guard(() => this.#fillBuffers());
  }

  sizeChanged(): void {
    if (hasFeature(this.#context.features, VIRTIO_CONSOLE_F_SIZE)) this.#context.interrupt.configurationChange();
  }

  /** A buffer that waits for the host goes back to the driver's side, its bytes that are out already are told apart. */
  saveState(): DeviceState {
    return { alreadyOut: this.#output?.offset ?? this.#alreadyOut };
  }

  [Symbol.dispose](): void {
    this.#announcementTimer?.[Symbol.dispose]();
    this.#owner.onDispose();
  }

  /** @throws QueueError BUFFER_LAYOUT */
  #transmit(chain: Chain): void {
    if (chain.readable.length === 0) throw new QueueError('BUFFER_LAYOUT', 'a buffer of output without output');
    this.#output = { chain, offset: Math.min(this.#alreadyOut, chain.readable.length) };
    this.#alreadyOut = 0;
    this.#passOn();
  }

  #passOn(): void {
    while (this.#output !== undefined && !this.#isWaiting) {
      const { chain, offset } = this.#output;
      const piece = chain.readable.copy(offset, Math.min(OUTPUT_PIECE, chain.readable.length - offset));
      this.#output.offset += piece.length;
      this.#outputThisTurn += piece.length;
      const busy = piece.length === 0 ? undefined : this.#owner.output(piece);
      if (this.#output.offset === chain.readable.length) {
        this.#output = undefined;
        this.#transmitWork.queue.putUsed(chain, 0);
      }
      if (busy !== undefined) this.#wait((goOn) => void busy.then(() => this.#context.guard(goOn)));
      else if (this.#outputThisTurn >= MAX_OUTPUT_PER_TURN) this.#wait((goOn) => this.#context.defer(goOn));
    }
  }

  #wait(until: (goOn: () => void) => void): void {
    this.#isWaiting = true;
    until(() => {
      this.#isWaiting = false;
      this.#outputThisTurn = 0;
      this.#passOn();
      drain(this.#context, this.#transmitWork);
    });
  }

  /** As many as the ring holds, then others have their turn. @throws QueueError when a buffer has no room */
  #fillBuffers(): void {
    const { input, counts } = this.#owner;
    const queue = this.#receive;
    for (let budget = queue.size; input.length > 0; budget -= 1) {
      if (budget === 0) {
        this.#context.defer(() => this.#fillBuffers());
        break;
      }
      const chain = queue.take();
      if (chain === undefined) {
        if (queue.requestNotifications()) continue;
        break;
      }
      if (chain.writable.length === 0) throw new QueueError('BUFFER_LAYOUT', 'a buffer for input without room');
      let written = 0;
      while (input.length > 0 && written < chain.writable.length) {
        const bytes = input.take(chain.writable.length - written);
        chain.writable.write(written, bytes);
        written += bytes.length;
      }
      counts.rx_bytes += written;
      queue.putUsed(chain, written);
    }
    if (input.length === 0) queue.suppressNotifications();
    interruptIfWanted(this.#context, CONSOLE_QUEUE.receive, queue);
  }

  #announceSizeSoon(): void {
    if (this.#announcementTimer !== undefined || this.#announcements >= MAX_SIZE_ANNOUNCEMENTS) return;
    this.#announcementTimer = this.#owner.timers.after(SIZE_ANNOUNCEMENT_DELAY_MS, () =>
      this.#context.guard(() => {
        this.#announcementTimer = undefined;
        this.#announcements += 1;
        if (this.#owner.hasSize()) this.sizeChanged();
      }),
    );
  }
}

/** @throws RangeError when there is none */
function restoredOffset({ alreadyOut }: DeviceState): number {
  if (typeof alreadyOut === 'number' && Number.isSafeInteger(alreadyOut) && alreadyOut >= 0) return alreadyOut;
  throw new RangeError('the state of a console does not say how much of its output is out');
}
