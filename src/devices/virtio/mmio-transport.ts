// virtio over MMIO, the modern interface (virtio 1.3, 4.2). Everything a driver can read is kept as bytes in one page,
// brought up to date after every write: reads have no side effects, so the page itself can be mapped into the guest.
// Whatever a driver writes, in whatever order, nothing here throws: a device that cannot go on is in DEVICE_NEEDS_RESET.
import { type Fd, guestAddress } from '../../lib/brand.ts';
import { messageOf } from '../../lib/errors.ts';
import { PAGE_SIZE } from '../../lib/units.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import {
  VIRTIO_CONFIG_S_DRIVER_OK,
  VIRTIO_CONFIG_S_FAILED,
  VIRTIO_CONFIG_S_FEATURES_OK,
  VIRTIO_CONFIG_S_NEEDS_RESET,
  VIRTIO_F_VERSION_1,
  VIRTIO_MMIO_CONFIG,
  VIRTIO_MMIO_CONFIG_GENERATION,
  VIRTIO_MMIO_DEVICE_FEATURES,
  VIRTIO_MMIO_DEVICE_FEATURES_SEL,
  VIRTIO_MMIO_DEVICE_ID,
  VIRTIO_MMIO_DRIVER_FEATURES,
  VIRTIO_MMIO_DRIVER_FEATURES_SEL,
  VIRTIO_MMIO_INT_CONFIG,
  VIRTIO_MMIO_INT_VRING,
  VIRTIO_MMIO_INTERRUPT_ACK,
  VIRTIO_MMIO_INTERRUPT_STATUS,
  VIRTIO_MMIO_MAGIC_VALUE,
  VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
  VIRTIO_MMIO_QUEUE_AVAIL_LOW,
  VIRTIO_MMIO_QUEUE_DESC_HIGH,
  VIRTIO_MMIO_QUEUE_DESC_LOW,
  VIRTIO_MMIO_QUEUE_NOTIFY,
  VIRTIO_MMIO_QUEUE_NUM,
  VIRTIO_MMIO_QUEUE_NUM_MAX,
  VIRTIO_MMIO_QUEUE_READY,
  VIRTIO_MMIO_QUEUE_SEL,
  VIRTIO_MMIO_QUEUE_USED_HIGH,
  VIRTIO_MMIO_QUEUE_USED_LOW,
  VIRTIO_MMIO_SHM_BASE_HIGH,
  VIRTIO_MMIO_SHM_BASE_LOW,
  VIRTIO_MMIO_SHM_LEN_HIGH,
  VIRTIO_MMIO_SHM_LEN_LOW,
  VIRTIO_MMIO_SHM_SEL,
  VIRTIO_MMIO_STATUS,
  VIRTIO_MMIO_VENDOR_ID,
  VIRTIO_MMIO_VERSION,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from './abi.gen.ts';
import type { ActivationContext, ActiveDevice, DeviceState, VirtioDevice } from './device.ts';
import { hasFeature } from './features.ts';
import { type QueuePosition, Virtqueue } from './queue.ts';
import { findTransition, isKnownStatus, STATUS } from './status.ts';
import { TransportError } from './transport-error.ts';
import {
  QUEUE_ADDRESS_HALVES,
  type QueueAddressHalf,
  type QueueSnapshot,
  readTransportSnapshot,
  type TransportSnapshot,
} from './transport-snapshot.ts';

/** "virt", little-endian (virtio 1.3, 4.2.2). */
export const VIRTIO_MMIO_MAGIC = 0x74726976;
/** The modern interface (virtio 1.3, 4.2.2); 1 would be the legacy one. */
export const VIRTIO_MMIO_MODERN_VERSION = 2;
/** "tska": no registry gives these out, drivers ignore it. */
const VENDOR_ID = 0x616b7374;
const REGISTER_SIZE = 4;
const U32_MASK = 0xffff_ffffn;
/** What every register of a shared memory region that is not there reads as (virtio 1.3, 4.2.2). */
const NO_SHARED_MEMORY = 0xffff_ffff;

/**
 * Registers whose write changes nothing that a driver can read: their writes may be collected and delivered together,
 * in order, before the next write that is not in this list.
 */
export const COALESCABLE_REGISTERS: readonly number[] = [
  VIRTIO_MMIO_DRIVER_FEATURES,
  VIRTIO_MMIO_DRIVER_FEATURES_SEL,
  VIRTIO_MMIO_QUEUE_NUM,
  VIRTIO_MMIO_QUEUE_DESC_LOW,
  VIRTIO_MMIO_QUEUE_DESC_HIGH,
  VIRTIO_MMIO_QUEUE_AVAIL_LOW,
  VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
  VIRTIO_MMIO_QUEUE_USED_LOW,
  VIRTIO_MMIO_QUEUE_USED_HIGH,
  VIRTIO_MMIO_SHM_SEL,
];

export interface MmioTransportOptions {
  readonly memory: GuestMemory;
  /** The 4 KiB that the driver reads: anonymous bytes, or memory that is mapped into the guest read-only. */
  readonly page: Uint8Array;
  /** The device's interrupt line: one edge for each signal. */
  readonly interrupt: { signal(): void };
  /** Runs a function after the event loop has served others, as setImmediate does. */
  readonly defer: (work: () => void) => void;
  /** The eventfds of a queue; needed for back ends outside this process only. */
  readonly eventFds?: (queueIndex: number) => { readonly kick: Fd; readonly call: Fd };
  /** Rings the bell of a queue whose back end watches it by itself, as the driver would. */
  readonly ringBell?: (queueIndex: number) => void;
  /** Told when the device has failed and needs a reset by its driver: for logs and the timeline. */
  readonly onFailure?: (failure: Error) => void;
}

/** What the device is doing, besides the status that the driver sees. */
export type TransportState =
  /** Reset, or being set up. */
  | { readonly kind: 'inactive' }
  /** DRIVER_OK was set: the device works on the queues. */
  | { readonly kind: 'active'; readonly device: ActiveDevice; readonly features: bigint }
  /** The device gave up; it waits for a reset. */
  | { readonly kind: 'failed'; readonly failure: Error };

/** How far the device is on its way to rest. */
type Rest =
  /** It takes what comes. */
  | { readonly kind: 'awake' }
  /** It finishes what it has taken; bells are not passed on. */
  | { readonly kind: 'quiescing'; readonly done: Promise<void> }
  /** It stands still, and what it would have done waits. */
  | { readonly kind: 'at-rest'; readonly kept: (() => void)[] };

const AWAKE: Rest = { kind: 'awake' };

/** What a driver wrote about one queue. */
interface QueueSetup extends Record<QueueAddressHalf, number> {
  readonly maxSize: number;
  size: number;
  /** There from QUEUE_READY = 1 on. */
  queue: Virtqueue | undefined;
}

const ADDRESS_REGISTERS: ReadonlyMap<number, QueueAddressHalf> = new Map([
  [VIRTIO_MMIO_QUEUE_DESC_LOW, 'descriptorLow'],
  [VIRTIO_MMIO_QUEUE_DESC_HIGH, 'descriptorHigh'],
  [VIRTIO_MMIO_QUEUE_AVAIL_LOW, 'availableLow'],
  [VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 'availableHigh'],
  [VIRTIO_MMIO_QUEUE_USED_LOW, 'usedLow'],
  [VIRTIO_MMIO_QUEUE_USED_HIGH, 'usedHigh'],
]);

/** One device on its page of registers. Disposing it ends the device's work: the end of the VM. */
export class MmioTransport implements Disposable {
  readonly device: VirtioDevice;
  /** The page as the driver reads it. */
  readonly page: Uint8Array;

  readonly #options: MmioTransportOptions;
  readonly #registers: DataView;
  #state: TransportState = { kind: 'inactive' };
  #rest: Rest = AWAKE;
  /** Set by `restoreState`: the driver may have missed an interrupt when its machine was saved. */
  #interruptDue = false;
  /** Counts activations and resets: work that started before one must not go on after it. */
  #epoch = 0;
  #status: number = STATUS.reset;
  #deviceFeaturesSelect = 0;
  #driverFeaturesSelect = 0;
  #driverFeatures = 0n;
  #queueSelect = 0;
  #queues: QueueSetup[] = [];
  #configurationGeneration = 0;
  readonly #counts = { notifications: 0, interrupts: 0, failures: 0 };

  /** @throws TransportError LAYOUT when the page is no page or the configuration space does not fit it */
  constructor(device: VirtioDevice, options: MmioTransportOptions) {
    const { page } = options;
    if (page.length !== PAGE_SIZE || device.configurationSpace.length > PAGE_SIZE - VIRTIO_MMIO_CONFIG) {
      throw new TransportError('LAYOUT', `the registers of ${device.name} do not fit a page of ${page.length} bytes`, {
        page: page.length,
        configurationSpace: device.configurationSpace.length,
      });
    }
    this.device = device;
    this.page = page;
    this.#options = options;
    this.#registers = new DataView(page.buffer, page.byteOffset, page.length);
    this.#set(VIRTIO_MMIO_MAGIC_VALUE, VIRTIO_MMIO_MAGIC);
    this.#set(VIRTIO_MMIO_VERSION, VIRTIO_MMIO_MODERN_VERSION);
    this.#set(VIRTIO_MMIO_DEVICE_ID, device.deviceId);
    this.#set(VIRTIO_MMIO_VENDOR_ID, VENDOR_ID);
    for (const register of [
      VIRTIO_MMIO_SHM_LEN_LOW,
      VIRTIO_MMIO_SHM_LEN_HIGH,
      VIRTIO_MMIO_SHM_BASE_LOW,
      VIRTIO_MMIO_SHM_BASE_HIGH,
    ]) {
      this.#set(register, NO_SHARED_MEMORY);
    }
    this.#reset();
  }

  get state(): TransportState {
    return this.#state;
  }

  /** The status field as the driver reads it. */
  get status(): number {
    return this.#status;
  }

  /** What a read of `length` bytes at `offset` gives: a view of the page, and nothing beyond its end. */
  read(offset: number, length: number): Uint8Array {
    return this.page.subarray(offset, offset + length);
  }

  /**
   * A driver's write to the page, of any width, anywhere in it.
   * @returns after a reset, what the driver is to be held for: until then its memory may still be written to. It may poll
   * for status 0 instead (virtio 1.3, 2.4), but Linux' driver for this transport does not.
   */
  write(offset: number, bytes: Uint8Array): Promise<void> | undefined {
    if (offset >= VIRTIO_MMIO_CONFIG) {
      this.#writeConfiguration(offset - VIRTIO_MMIO_CONFIG, bytes);
      return undefined;
    }
    // "The driver MUST only use 32 bit wide and aligned reads and writes" (virtio 1.3, 4.2.2.2): others have no effect.
    if (offset % REGISTER_SIZE !== 0 || bytes.length !== REGISTER_SIZE) return undefined;
    const value = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0, true);
    this.#writeRegister(offset, value);
    return offset === VIRTIO_MMIO_STATUS && value === STATUS.reset ? this.device.idle?.() : undefined;
  }

  /** The driver rang the bell of a queue. At rest that need not be remembered: `resume` rings all of them. */
  notify(queueIndex: number): void {
    const state = this.#state;
    if (state.kind !== 'active' || this.#queues[queueIndex]?.queue === undefined) return;
    this.#counts.notifications += 1;
    if (this.#rest.kind === 'awake') this.#guard(this.#epoch, () => state.device.queueNotified?.(queueIndex));
  }

  /** Counts since the transport was made: bells that this process answered, interrupts that it sent, and the rest. */
  metrics(): Readonly<Record<string, number>> {
    return { ...this.#counts };
  }

  /**
   * Brings the device to rest, for a snapshot. The vCPUs stand still by then, and until `resume`.
   * @throws what keeps the device from it (rejects); it then goes on as if it had not been asked
   */
  quiesce(): Promise<void> {
    switch (this.#rest.kind) {
      case 'at-rest':
        return Promise.resolve();
      case 'quiescing':
        return this.#rest.done;
      case 'awake': {
        const done = Promise.resolve().then(() => this.#comeToRest());
        this.#rest = { kind: 'quiescing', done };
        return done;
      }
    }
  }

  /**
   * Lets a device at rest go on: with what it kept, then with what its driver may have rung for.
   * @throws TransportError NOT_AT_REST
   */
  resume(): void {
    const { kept } = this.#requireRest();
    this.#rest = AWAKE;
    const state = this.#state;
    if (state.kind === 'active') this.#guard(this.#epoch, () => state.device.resume?.());
    for (const work of kept) work();
    this.#ringBells();
    if (this.#interruptDue) this.#signal();
    this.#interruptDue = false;
  }

  /** What a transport in another process needs to go on from here. @throws TransportError NOT_AT_REST */
  saveState(): TransportSnapshot {
    this.#requireRest();
    const state = this.#state;
    return {
      deviceId: this.device.deviceId,
      status: this.#status,
      failure: state.kind === 'failed' ? state.failure.message : null,
      deviceFeaturesSelect: this.#deviceFeaturesSelect,
      driverFeaturesSelect: this.#driverFeaturesSelect,
      driverFeatures: `0x${this.#driverFeatures.toString(16)}`,
      queueSelect: this.#queueSelect,
      interruptStatus: this.#get(VIRTIO_MMIO_INTERRUPT_STATUS),
      configurationGeneration: this.#configurationGeneration,
      configurationSpace: [...this.#shownConfiguration()],
      queues: this.#queues.map(saveQueue),
      device: state.kind === 'active' ? (state.device.saveState?.() ?? null) : null,
    };
  }

  /**
   * Takes the place of a transport whose state was saved. The device is at rest then: `resume` lets it go on, and sends an
   * interrupt in case the last one was lost.
   * @param snapshot what `saveState` gave, or what JSON.parse made of it
   * @throws TransportError NOT_AT_REST when this transport has been used already, SNAPSHOT when the state is not of this
   * device as it is now, or makes no sense; the transport is then as good as new
   */
  restoreState(snapshot: unknown): void {
    if (this.#status !== STATUS.reset || this.#rest.kind !== 'awake') {
      throw new TransportError('NOT_AT_REST', `the state of ${this.device.name} is restored before its first use only`);
    }
    this.#rest = { kind: 'at-rest', kept: [] };
    try {
      this.#restore(readTransportSnapshot(snapshot));
    } catch (cause) {
      this.#rest = AWAKE;
      this.#interruptDue = false;
      this.#reset();
      throw new TransportError(
        'SNAPSHOT',
        `${this.device.name} cannot go on from the snapshot: ${messageOf(cause)}`,
        { device: this.device.name },
        { cause },
      );
    }
  }

  [Symbol.dispose](): void {
    this.#deactivate({ kind: 'inactive' });
  }

  async #comeToRest(): Promise<void> {
    try {
      if (this.#state.kind === 'active') await this.#state.device.quiesce?.();
      // Work of a driver that has gone may still touch memory.
      await this.device.idle?.();
    } catch (error) {
      this.#rest = AWAKE;
      this.#ringBells();
      throw error;
    }
    this.#rest = { kind: 'at-rest', kept: [] };
  }

  #requireRest(): Extract<Rest, { readonly kind: 'at-rest' }> {
    if (this.#rest.kind === 'at-rest') return this.#rest;
    throw new TransportError('NOT_AT_REST', `${this.device.name} is not at rest`);
  }

  #ringBells(): void {
    for (const [index, { queue }] of this.#queues.entries()) {
      const state = this.#state;
      if (state.kind !== 'active' || queue === undefined) continue;
      if (state.device.queueNotified === undefined) this.#options.ringBell?.(index);
      else this.#guard(this.#epoch, () => state.device.queueNotified?.(index));
    }
  }

  /** @throws Error when the snapshot does not fit */
  #restore(snapshot: TransportSnapshot): void {
    const { device } = this;
    const { status, failure } = snapshot;
    const features = BigInt(snapshot.driverFeatures);
    if (snapshot.deviceId !== device.deviceId) {
      throw new RangeError(`it is of device type ${snapshot.deviceId}, this is ${device.deviceId}`);
    }
    if (!isKnownStatus(status, failure !== null)) throw new RangeError(`there is no device status ${status}`);
    const missing = features & ~device.features;
    if ((status & VIRTIO_CONFIG_S_FEATURES_OK) !== 0 && missing !== 0n) {
      throw new RangeError(`its driver uses features that are not there now: 0x${missing.toString(16)}`);
    }
    if (snapshot.queues.length !== this.#queues.length) {
      throw new RangeError(`it has ${snapshot.queues.length} queues, this device ${this.#queues.length}`);
    }
    this.#deviceFeaturesSelect = snapshot.deviceFeaturesSelect;
    this.#driverFeaturesSelect = snapshot.driverFeaturesSelect;
    this.#driverFeatures = features;
    this.#queueSelect = snapshot.queueSelect;
    for (const [index, saved] of snapshot.queues.entries()) this.#restoreQueue(index, saved, status);
    this.#set(
      VIRTIO_MMIO_INTERRUPT_STATUS,
      snapshot.interruptStatus & (VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG),
    );
    const shown = this.#shownConfiguration();
    shown.set(snapshot.configurationSpace.slice(0, shown.length));
    this.#configurationGeneration = snapshot.configurationGeneration;
    this.#set(VIRTIO_MMIO_CONFIG_GENERATION, snapshot.configurationGeneration);
    this.#showFeatures();
    this.#showQueue();
    this.#setStatus(status);
    if (failure !== null) this.#state = { kind: 'failed', failure: new TransportError('FAILED_BEFORE', failure) };
    if (status === STATUS.running) this.#reactivate(snapshot.device ?? {});
    this.#interruptDue = (status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0;
    // What changed meanwhile, a disk's size for instance, is news to the driver.
    if (this.#showConfiguration() && this.#interruptDue) this.#addInterrupt(VIRTIO_MMIO_INT_CONFIG);
  }

  #restoreQueue(index: number, saved: QueueSnapshot, status: number): void {
    const setup = this.#queues[index];
    if (setup === undefined) return;
    setup.size = saved.size;
    for (const half of QUEUE_ADDRESS_HALVES) setup[half] = saved[half];
    if (saved.position === null) return;
    if ((status & VIRTIO_CONFIG_S_FEATURES_OK) === 0) throw new RangeError('it has a queue before FEATURES_OK');
    setup.queue = this.#makeQueue(setup, saved.position);
    if (status !== STATUS.featuresAgreed && status !== STATUS.running) setup.queue.stop();
  }

  #reactivate(restored: DeviceState): void {
    this.#epoch += 1;
    const features = this.#driverFeatures;
    const device = this.device.activate({ ...this.#makeContext(), restored });
    // What the device said when it failed is the reason to refuse the snapshot.
    if (this.#state.kind === 'failed') {
      device[Symbol.dispose]();
      throw this.#state.failure;
    }
    this.#state = { kind: 'active', device, features };
  }

  #writeRegister(offset: number, value: number): void {
    const half = ADDRESS_REGISTERS.get(offset);
    if (half !== undefined) {
      const setup = this.#configurableQueue();
      if (setup !== undefined) setup[half] = value;
      return;
    }
    switch (offset) {
      case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
        this.#deviceFeaturesSelect = value;
        this.#showFeatures();
        return;
      case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
        this.#driverFeaturesSelect = value;
        return;
      case VIRTIO_MMIO_DRIVER_FEATURES:
        this.#setDriverFeatures(value);
        return;
      case VIRTIO_MMIO_QUEUE_SEL:
        this.#queueSelect = value;
        this.#showQueue();
        return;
      case VIRTIO_MMIO_QUEUE_NUM: {
        const setup = this.#configurableQueue();
        if (setup !== undefined) setup.size = value;
        return;
      }
      case VIRTIO_MMIO_QUEUE_READY:
        this.#setQueueReady(value === 1);
        return;
      case VIRTIO_MMIO_QUEUE_NOTIFY:
        this.notify(value);
        return;
      case VIRTIO_MMIO_INTERRUPT_ACK:
        // The used buffer bit stays: see #activate.
        this.#set(
          VIRTIO_MMIO_INTERRUPT_STATUS,
          this.#get(VIRTIO_MMIO_INTERRUPT_STATUS) & ~(value & VIRTIO_MMIO_INT_CONFIG),
        );
        return;
      case VIRTIO_MMIO_STATUS:
        this.#writeStatus(value);
        return;
      default:
        // Read-only, legacy and unassigned registers: no effect.
        return;
    }
  }

  /** The selected queue, if its set-up may be changed now: after the features are agreed on, before it is in use. */
  #configurableQueue(): QueueSetup | undefined {
    const setup = this.#queues[this.#queueSelect];
    return this.#status === STATUS.featuresAgreed && setup?.queue === undefined ? setup : undefined;
  }

  #setDriverFeatures(value: number): void {
    // The set is final once FEATURES_OK is (virtio 1.3, 3.1.1), and has 64 bits.
    if (this.#status !== STATUS.driverFound || this.#driverFeaturesSelect > 1) return;
    const shift = 32n * BigInt(this.#driverFeaturesSelect);
    this.#driverFeatures = (this.#driverFeatures & ~(U32_MASK << shift)) | (BigInt(value) << shift);
  }

  #setQueueReady(ready: boolean): void {
    const setup = this.#queues[this.#queueSelect];
    if (setup === undefined || ready === (setup.queue !== undefined)) return;
    if (this.#status === STATUS.running) {
      // A single queue of a running device is stopped or started with VIRTIO_F_RING_RESET only, which is not offered.
      this.#fail(
        new TransportError(
          'QUEUE_SETUP',
          `the driver changed queue ${this.#queueSelect} of the running ${this.device.name}`,
          {
            queue: this.#queueSelect,
          },
        ),
      );
      return;
    }
    if (this.#status !== STATUS.featuresAgreed) return;
    if (!ready) {
      setup.queue?.stop();
      setup.queue = undefined;
    } else {
      this.#guard(this.#epoch, () => {
        setup.queue = this.#makeQueue(setup);
      });
    }
    this.#showQueue();
  }

  /** @throws QueueError or TransportError QUEUE_SETUP when this cannot be a queue */
  #makeQueue(setup: QueueSetup, position?: QueuePosition): Virtqueue {
    const { size, maxSize } = setup;
    // "The driver MUST write a value to QueueNum which is less than or equal to [...] QueueNumMax" (virtio 1.3, 4.2.2.2).
    if (size > maxSize) {
      throw new TransportError('QUEUE_SETUP', `the driver made a queue of ${size} entries, the largest is ${maxSize}`, {
        size,
        maxSize,
      });
    }
    return new Virtqueue(
      this.#options.memory,
      {
        size,
        descriptorTable: joinHalves(setup.descriptorLow, setup.descriptorHigh),
        availableRing: joinHalves(setup.availableLow, setup.availableHigh),
        usedRing: joinHalves(setup.usedLow, setup.usedHigh),
      },
      {
        eventIndex: hasFeature(this.#driverFeatures, VIRTIO_RING_F_EVENT_IDX),
        indirect: hasFeature(this.#driverFeatures, VIRTIO_RING_F_INDIRECT_DESC),
      },
      position,
    );
  }

  #writeStatus(value: number): void {
    if (value === STATUS.reset) {
      this.#reset();
      return;
    }
    if ((value & VIRTIO_CONFIG_S_FAILED) !== 0) {
      // The driver gave up (virtio 1.3, 2.1): whatever it had handed out is its own again.
      this.#deactivate({ kind: 'inactive' });
      this.#setStatus(this.#status | VIRTIO_CONFIG_S_FAILED);
      return;
    }
    const transition = findTransition(this.#status, value);
    switch (transition?.action) {
      case undefined:
        return;
      case 'none':
        break;
      case 'agree-on-features':
        if (!this.#areFeaturesAcceptable()) return;
        break;
      case 'activate':
        // The driver may ring bells as soon as it has set the bit, so it is shown first.
        this.#setStatus(value);
        this.#activate();
        return;
    }
    this.#setStatus(value);
    this.#showConfiguration();
  }

  /**
   * A subset of what was offered, and the modern interface (virtio 1.3, 2.2.1 and 6.1). If not, FEATURES_OK stays clear,
   * which the driver must check.
   */
  #areFeaturesAcceptable(): boolean {
    return (
      (this.#driverFeatures & ~this.device.features) === 0n && hasFeature(this.#driverFeatures, VIRTIO_F_VERSION_1)
    );
  }

  #activate(): void {
    // One bit stands for all used buffer notifications, and a spurious one is harmless: it stays set while the device
    // runs, so that neither the driver's acknowledgement nor a back end in another process needs us for it.
    this.#set(VIRTIO_MMIO_INTERRUPT_STATUS, VIRTIO_MMIO_INT_VRING);
    this.#epoch += 1;
    const epoch = this.#epoch;
    const features = this.#driverFeatures;
    this.#guard(epoch, () => {
      const device = this.device.activate(this.#makeContext());
      // A device can fail while it is being activated: then nobody else would end it.
      if (epoch === this.#epoch) this.#state = { kind: 'active', device, features };
      else device[Symbol.dispose]();
    });
    // What changed since FEATURES_OK the driver may have read already.
    if (this.#state.kind === 'active' && this.#showConfiguration()) this.#announceConfiguration();
  }

  /** What the activation that begins now may do, and until when. */
  #makeContext(): ActivationContext {
    const epoch = this.#epoch;
    const guard = (work: () => void) => {
      const guarded = () => this.#guard(epoch, work);
      if (this.#rest.kind === 'at-rest') this.#rest.kept.push(guarded);
      else guarded();
    };
    return {
      memory: this.#options.memory,
      features: this.#driverFeatures,
      queues: this.#queues.map((setup) => setup.queue),
      interrupt: {
        usedBuffer: () => {
          if (epoch === this.#epoch) this.#signal();
        },
        configurationChange: () => {
          if (epoch === this.#epoch) this.#announceConfiguration();
        },
      },
      refreshConfiguration: () => {
        if (epoch === this.#epoch) this.#showConfiguration();
      },
      eventFds: (queueIndex) => this.#eventFds(queueIndex),
      fail: (reason) => {
        if (epoch === this.#epoch) this.#fail(reason);
      },
      guard,
      defer: (work) => this.#options.defer(() => guard(work)),
    };
  }

  #eventFds(queueIndex: number): { readonly kick: Fd; readonly call: Fd } {
    if (this.#options.eventFds === undefined) {
      throw new TransportError(
        'NO_EVENT_FDS',
        `${this.device.name} needs eventfds, and the VMM was built without them`,
      );
    }
    return this.#options.eventFds(queueIndex);
  }

  /** Runs device code; what it throws fails the device. Work of an earlier activation does not run. */
  #guard(epoch: number, work: () => void): void {
    if (epoch !== this.#epoch) return;
    try {
      work();
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(messageOf(error)));
    }
  }

  #fail(failure: Error): void {
    if (this.#state.kind === 'failed') return;
    this.#counts.failures += 1;
    this.#deactivate({ kind: 'failed', failure });
    this.#setStatus(this.#status | VIRTIO_CONFIG_S_NEEDS_RESET);
    // "If DRIVER_OK is set, after it sets DEVICE_NEEDS_RESET, the device MUST send a device configuration change
    // notification to the driver" (virtio 1.3, 2.1.2).
    if ((this.#status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0) this.#announceConfiguration();
    this.#options.onFailure?.(failure);
  }

  #reset(): void {
    this.#deactivate({ kind: 'inactive' });
    this.#deviceFeaturesSelect = 0;
    this.#driverFeaturesSelect = 0;
    this.#driverFeatures = 0n;
    this.#queueSelect = 0;
    this.#queues = this.device.queueSizes.map((maxSize) => ({
      maxSize,
      size: 0,
      descriptorLow: 0,
      descriptorHigh: 0,
      availableLow: 0,
      availableHigh: 0,
      usedLow: 0,
      usedHigh: 0,
      queue: undefined,
    }));
    this.#set(VIRTIO_MMIO_INTERRUPT_STATUS, 0);
    this.#showFeatures();
    this.#showQueue();
    this.#showConfiguration();
    // Last: a driver may poll for the zero (virtio 1.3, 2.1.2).
    this.#setStatus(STATUS.reset);
  }

  /** Ends all work on the queues. The queues go first, so that what the device does while it ends touches no ring. */
  #deactivate(next: TransportState): void {
    const previous = this.#state;
    this.#state = next;
    this.#epoch += 1;
    for (const setup of this.#queues) setup.queue?.stop();
    if (previous.kind !== 'active') return;
    try {
      previous.device[Symbol.dispose]();
    } catch (error) {
      this.#options.onFailure?.(error instanceof Error ? error : new Error(messageOf(error)));
    }
  }

  #writeConfiguration(offset: number, bytes: Uint8Array): void {
    const { device } = this;
    const { writeConfiguration } = device;
    if (writeConfiguration === undefined || offset + bytes.length > device.configurationSpace.length) return;
    this.#guard(this.#epoch, () => {
      writeConfiguration.call(device, offset, bytes.slice());
      this.#showConfiguration();
    });
  }

  #announceConfiguration(): void {
    this.#showConfiguration();
    this.#addInterrupt(VIRTIO_MMIO_INT_CONFIG);
    this.#signal();
  }

  #addInterrupt(bit: number): void {
    this.#set(VIRTIO_MMIO_INTERRUPT_STATUS, this.#get(VIRTIO_MMIO_INTERRUPT_STATUS) | bit);
  }

  #signal(): void {
    this.#counts.interrupts += 1;
    this.#options.interrupt.signal();
  }

  /** The configuration space as the driver reads it. */
  #shownConfiguration(): Uint8Array {
    return this.page.subarray(VIRTIO_MMIO_CONFIG, VIRTIO_MMIO_CONFIG + this.device.configurationSpace.length);
  }

  /**
   * The generation changes before and after, so that a driver that reads across a change sees it (virtio 1.3, 2.5.1).
   * @returns whether anything changed
   */
  #showConfiguration(): boolean {
    const shown = this.#shownConfiguration();
    const now = this.device.configurationSpace;
    if (now.every((byte, index) => byte === shown[index])) return false;
    this.#nextGeneration();
    shown.set(now);
    this.#nextGeneration();
    return true;
  }

  #nextGeneration(): void {
    this.#configurationGeneration = (this.#configurationGeneration + 1) >>> 0;
    this.#set(VIRTIO_MMIO_CONFIG_GENERATION, this.#configurationGeneration);
  }

  #showFeatures(): void {
    const select = this.#deviceFeaturesSelect;
    this.#set(
      VIRTIO_MMIO_DEVICE_FEATURES,
      select > 1 ? 0 : Number((this.device.features >> (32n * BigInt(select))) & U32_MASK),
    );
  }

  #showQueue(): void {
    const setup = this.#queues[this.#queueSelect];
    this.#set(VIRTIO_MMIO_QUEUE_NUM_MAX, setup?.maxSize ?? 0);
    this.#set(VIRTIO_MMIO_QUEUE_READY, setup?.queue === undefined ? 0 : 1);
  }

  #setStatus(status: number): void {
    this.#status = status;
    this.#set(VIRTIO_MMIO_STATUS, status);
  }

  #get(register: number): number {
    return this.#registers.getUint32(register, true);
  }

  #set(register: number, value: number): void {
    this.#registers.setUint32(register, value, true);
  }
}

function saveQueue({ size, queue, ...addresses }: QueueSetup): QueueSnapshot {
  const { descriptorLow, descriptorHigh, availableLow, availableHigh, usedLow, usedHigh } = addresses;
  const position = queue?.position ?? null;
  return { size, descriptorLow, descriptorHigh, availableLow, availableHigh, usedLow, usedHigh, position };
}

/** @throws RangeError beyond 52 bits: no guest has RAM there */
function joinHalves(low: number, high: number): ReturnType<typeof guestAddress> {
  return guestAddress((BigInt(high) << 32n) | BigInt(low));
}
