// The driver's side of virtio in memory: it negotiates through a transport, builds rings in guest memory, offers buffers
// and takes used ones back. Unit tests, property tests and benchmarks drive every device with it, and it can break the
// rules on purpose: the raw writers at the end check nothing.
import { type GuestAddress, guestAddress } from '../../../lib/brand.ts';
import { alignUp, MIB, PAGE_SIZE } from '../../../lib/units.ts';
import { GuestMemory } from '../../../memory/guest-memory.ts';
import {
  VIRTIO_F_VERSION_1,
  VIRTIO_MMIO_DEVICE_FEATURES,
  VIRTIO_MMIO_DEVICE_FEATURES_SEL,
  VIRTIO_MMIO_DRIVER_FEATURES,
  VIRTIO_MMIO_DRIVER_FEATURES_SEL,
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
  VIRTIO_MMIO_STATUS,
  VIRTIO_RING_F_EVENT_IDX,
  VRING_AVAIL_F_NO_INTERRUPT,
  VRING_DESC_F_NEXT,
  VRING_DESC_F_WRITE,
  VRING_USED_F_NO_NOTIFY,
  vring_avail,
  vring_desc,
  vring_used,
  vring_used_elem,
} from '../abi.gen.ts';
import type { VirtioDevice } from '../device.ts';
import { featureSet, hasFeature } from '../features.ts';
import { MmioTransport, type MmioTransportOptions } from '../mmio-transport.ts';
import { ringSizes } from '../queue.ts';
import { STATUS } from '../status.ts';

/** A part of a buffer to offer: bytes for the device to read, or room for it to write. */
export type BufferPart = { readonly read: Uint8Array } | { readonly write: number };

/** A buffer that came back. */
export interface UsedBuffer {
  readonly head: number;
  /** Bytes that the device says it wrote. */
  readonly written: number;
  /** The first `written` bytes of the writable parts. */
  readonly bytes: Uint8Array;
  /** All of the writable parts, written or not. */
  readonly room: Uint8Array;
}

/** A descriptor as raw fields. */
export interface RawDescriptor {
  readonly address: bigint;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

interface Slot {
  address: GuestAddress;
  capacity: number;
}

/** What a device under test stands on. */
export interface MockMachineOptions {
  /** Bytes of RAM, from guest address 0 on. */
  readonly memorySize?: number;
  /** RAM from elsewhere, a memfd for instance. It begins at guest address 0. */
  readonly memory?: GuestMemory;
  readonly eventFds?: MmioTransportOptions['eventFds'];
  readonly ringBell?: MmioTransportOptions['ringBell'];
  /** A driver that was at work elsewhere, in the same memory. */
  readonly driver?: MockDriver;
}

/** A device on a transport with memory of its own, and a driver for it. */
export class MockMachine {
  readonly memory: GuestMemory;
  readonly transport: MmioTransport;
  readonly driver: MockDriver;
  /** Signals of the interrupt line so far. */
  interrupts = 0;
  /** Failures that the transport reported. */
  readonly failures: Error[] = [];
  #deferred: (() => void)[] = [];

  constructor(device: VirtioDevice, options: MockMachineOptions = {}) {
    const memorySize = options.memorySize ?? 4 * MIB;
    this.memory =
      options.memory ?? new GuestMemory([{ guestAddress: guestAddress(0), bytes: new Uint8Array(memorySize) }]);
    this.transport = new MmioTransport(device, {
      memory: this.memory,
      page: new Uint8Array(PAGE_SIZE),
      interrupt: { signal: () => void this.interrupts++ },
      defer: (work) => void this.#deferred.push(work),
      onFailure: (failure) => void this.failures.push(failure),
      ...(options.eventFds === undefined ? {} : { eventFds: options.eventFds }),
      ...(options.ringBell === undefined ? {} : { ringBell: options.ringBell }),
    });
    this.driver = options.driver ?? new MockDriver(this.transport, this.memory);
    this.driver.transport = this.transport;
  }

  /**
   * Brings the device to rest, ends it, and lets another one of its kind go on over the same memory, as a restore from a
   * snapshot does. The driver notices nothing. The new device is still at rest.
   */
  async moveTo(device: VirtioDevice): Promise<MockMachine> {
    await this.transport.quiesce();
    const snapshot = JSON.stringify(this.transport.saveState());
    this.transport[Symbol.dispose]();
    const machine = new MockMachine(device, { memory: this.memory, driver: this.driver });
    machine.transport.restoreState(JSON.parse(snapshot));
    return machine;
  }

  /** Runs one turn of deferred work. @returns how many jobs there were */
  runDeferred(): number {
    const jobs = this.#deferred;
    this.#deferred = [];
    for (const job of jobs) job();
    return jobs.length;
  }
}

export class MockDriver {
  transport: MmioTransport;
  readonly memory: GuestMemory;
  /** The bits that both ends accepted. */
  features = 0n;
  #heap: number = PAGE_SIZE;
  #queues: MockQueue[] = [];

  constructor(transport: MmioTransport, memory: GuestMemory) {
    this.transport = transport;
    this.memory = memory;
  }

  /** All of initialisation (virtio 1.3, 3.1.1): features, every queue at its largest size, DRIVER_OK. */
  start(options: { readonly refuse?: readonly number[]; readonly queueSize?: number } = {}): this {
    this.agreeOnFeatures(this.offeredFeatures() & ~featureSet(...(options.refuse ?? [])));
    this.transport.device.queueSizes.forEach((maxSize, index) => {
      this.setUpQueue(index, Math.min(maxSize, options.queueSize ?? maxSize));
    });
    this.writeStatus(STATUS.running);
    return this;
  }

  offeredFeatures(): bigint {
    this.writeRegister(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    const low = BigInt(this.readRegister(VIRTIO_MMIO_DEVICE_FEATURES));
    this.writeRegister(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    return (BigInt(this.readRegister(VIRTIO_MMIO_DEVICE_FEATURES)) << 32n) | low;
  }

  /** Goes through reset, ACKNOWLEDGE, DRIVER and FEATURES_OK. @returns whether the device agreed */
  agreeOnFeatures(features: bigint): boolean {
    this.reset();
    this.writeStatus(STATUS.acknowledged);
    this.writeStatus(STATUS.driverFound);
    for (const half of [0, 1]) {
      this.writeRegister(VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
      this.writeRegister(VIRTIO_MMIO_DRIVER_FEATURES, Number((features >> BigInt(32 * half)) & 0xffff_ffffn));
    }
    this.writeStatus(STATUS.featuresAgreed);
    this.features = features;
    return this.status === STATUS.featuresAgreed;
  }

  setUpQueue(index: number, size?: number): MockQueue {
    this.writeRegister(VIRTIO_MMIO_QUEUE_SEL, index);
    const queue = new MockQueue(this, index, size ?? this.readRegister(VIRTIO_MMIO_QUEUE_NUM_MAX));
    this.#queues[index] = queue;
    this.writeRegister(VIRTIO_MMIO_QUEUE_NUM, queue.size);
    this.writeAddress(VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH, queue.descriptorTable);
    this.writeAddress(VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, queue.availableRing);
    this.writeAddress(VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_MMIO_QUEUE_USED_HIGH, queue.usedRing);
    this.writeRegister(VIRTIO_MMIO_QUEUE_READY, 1);
    return queue;
  }

  /** A queue that was set up. @throws RangeError when it was not */
  queue(index: number): MockQueue {
    const queue = this.#queues[index];
    if (queue === undefined) throw new RangeError(`queue ${index} was not set up`);
    return queue;
  }

  reset(): void {
    this.#queues = [];
    this.#heap = PAGE_SIZE;
    this.writeStatus(STATUS.reset);
  }

  get status(): number {
    return this.readRegister(VIRTIO_MMIO_STATUS);
  }

  writeStatus(status: number): void {
    this.writeRegister(VIRTIO_MMIO_STATUS, status);
  }

  readRegister(offset: number): number {
    const bytes = this.transport.read(offset, 4);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  }

  writeRegister(offset: number, value: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.transport.write(offset, bytes);
  }

  writeAddress(low: number, high: number, address: number): void {
    this.writeRegister(low, address % 2 ** 32);
    this.writeRegister(high, Math.floor(address / 2 ** 32));
  }

  /** A zeroed piece of RAM that nothing else uses until the next reset. @throws GuestMemoryError when RAM is used up */
  allocate(length: number): GuestAddress {
    const address = guestAddress(this.#heap);
    this.memory.slice(address, length).fill(0);
    this.#heap = alignUp(this.#heap + length, 16);
    return address;
  }
}

/** The driver's side of one split virtqueue. */
export class MockQueue {
  readonly index: number;
  readonly size: number;
  readonly descriptorTable: GuestAddress;
  readonly availableRing: GuestAddress;
  readonly usedRing: GuestAddress;
  readonly #driver: MockDriver;
  readonly #memory: GuestMemory;
  readonly #eventIndex: boolean;
  /** Each descriptor keeps a buffer of its own, as large as it ever needed. */
  readonly #slots: Slot[] = [];
  readonly #free: number[];
  readonly #chains = new Map<number, { readonly descriptors: readonly number[]; readonly writable: readonly Slot[] }>();
  #nextAvailable = 0;
  #nextUsed = 0;
  #kickedAvailable = 0;

  constructor(driver: MockDriver, index: number, size: number) {
    const sizes = ringSizes(size);
    this.index = index;
    this.size = size;
    this.#driver = driver;
    this.#memory = driver.memory;
    this.#eventIndex = hasFeature(driver.features, VIRTIO_RING_F_EVENT_IDX);
    this.descriptorTable = driver.allocate(sizes.descriptorTable);
    this.availableRing = driver.allocate(sizes.availableRing);
    this.usedRing = driver.allocate(sizes.usedRing);
    this.#free = Array.from({ length: size }, (_, descriptor) => size - 1 - descriptor);
  }

  /** Descriptors that no offered buffer uses. */
  get freeDescriptors(): number {
    return this.#free.length;
  }

  /** Makes a buffer available, without a kick. @returns its head @throws RangeError when the ring is full */
  push(...parts: readonly BufferPart[]): number {
    const descriptors = parts.map(() => {
      const descriptor = this.#free.pop();
      if (descriptor === undefined) throw new RangeError(`queue ${this.index} has no free descriptor`);
      return descriptor;
    });
    const writable: Slot[] = [];
    parts.forEach((part, position) => {
      const descriptor = descriptors[position] ?? 0;
      const next = descriptors[position + 1];
      const length = 'read' in part ? part.read.length : part.write;
      const { address } = this.#slot(descriptor, length);
      if ('read' in part) this.#memory.write(address, part.read);
      else writable.push({ address, capacity: part.write });
      this.writeDescriptor(descriptor, {
        address: BigInt(address),
        length,
        flags: ('read' in part ? 0 : VRING_DESC_F_WRITE) | (next === undefined ? 0 : VRING_DESC_F_NEXT),
        next: next ?? 0,
      });
    });
    const head = descriptors[0];
    if (head === undefined) throw new RangeError('a buffer has at least one part');
    this.#chains.set(head, { descriptors, writable });
    this.pushHead(head);
    return head;
  }

  /** Rings the bell. */
  kick(): void {
    this.#kickedAvailable = this.#nextAvailable;
    this.#driver.writeRegister(VIRTIO_MMIO_QUEUE_NOTIFY, this.index);
  }

  /** Whether the device asked for a bell for what was pushed since the last kick. */
  wantsKick(): boolean {
    if (!this.#eventIndex) {
      return (this.#memory.readU16(this.usedRing + vring_used.flags) & VRING_USED_F_NO_NOTIFY) === 0;
    }
    const event = this.#memory.readU16(this.usedRing + vring_used.ring + vring_used_elem.sizeof * this.size);
    return ((this.#nextAvailable - event - 1) & 0xffff) < ((this.#nextAvailable - this.#kickedAvailable) & 0xffff);
  }

  /** Takes every buffer that the device returned. */
  takeUsed(): UsedBuffer[] {
    const used: UsedBuffer[] = [];
    const usedIndex = this.#memory.readU16(this.usedRing + vring_used.idx);
    while (this.#nextUsed !== usedIndex) {
      const entry = this.usedRing + vring_used.ring + vring_used_elem.sizeof * (this.#nextUsed & (this.size - 1));
      const head = this.#memory.readU32(entry + vring_used_elem.id);
      const written = this.#memory.readU32(entry + vring_used_elem.len);
      const room = this.#takeWritable(head);
      used.push({ head, written, bytes: room.subarray(0, written), room });
      this.#nextUsed = (this.#nextUsed + 1) & 0xffff;
    }
    return used;
  }

  /** Asks for no interrupts. Has an effect without VIRTIO_F_EVENT_IDX only. */
  suppressInterrupts(): void {
    this.#memory.writeU16(this.availableRing + vring_avail.flags, VRING_AVAIL_F_NO_INTERRUPT);
  }

  /** Asks for an interrupt once the used index has passed this value (VIRTIO_F_EVENT_IDX). */
  setUsedEvent(index: number): void {
    this.#memory.writeU16(this.availableRing + vring_avail.ring + 2 * this.size, index & 0xffff);
  }

  /** Puts any head, true or not, into the available ring. */
  pushHead(head: number): void {
    this.#memory.writeU16(this.availableRing + vring_avail.ring + 2 * (this.#nextAvailable & (this.size - 1)), head);
    this.#nextAvailable = (this.#nextAvailable + 1) & 0xffff;
    this.writeAvailableIndex(this.#nextAvailable);
  }

  writeAvailableIndex(index: number): void {
    this.#memory.writeU16(this.availableRing + vring_avail.idx, index & 0xffff);
  }

  writeDescriptor(index: number, descriptor: RawDescriptor): void {
    writeDescriptor(this.#memory, this.descriptorTable + vring_desc.sizeof * index, descriptor);
  }

  #slot(descriptor: number, length: number): Slot {
    const slot = this.#slots[descriptor];
    if (slot !== undefined && slot.capacity >= length) return slot;
    const larger = { address: this.#driver.allocate(length), capacity: length };
    this.#slots[descriptor] = larger;
    return larger;
  }

  #takeWritable(head: number): Uint8Array {
    const chain = this.#chains.get(head);
    if (chain === undefined) return new Uint8Array();
    this.#chains.delete(head);
    this.#free.push(...chain.descriptors.toReversed());
    return concatenate(chain.writable.map(({ address, capacity }) => this.#memory.copy(address, capacity)));
  }
}

/** Writes a descriptor anywhere, into an indirect table for instance. */
export function writeDescriptor(memory: GuestMemory, address: number, descriptor: RawDescriptor): void {
  memory.writeU64(address + vring_desc.addr, descriptor.address);
  memory.writeU32(address + vring_desc.len, descriptor.length);
  memory.writeU16(address + vring_desc.flags, descriptor.flags);
  memory.writeU16(address + vring_desc.next, descriptor.next);
}

/** The features that every modern driver accepts. */
export const MODERN: bigint = featureSet(VIRTIO_F_VERSION_1);

export function concatenate(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    all.set(piece, offset);
    offset += piece.length;
  }
  return all;
}
