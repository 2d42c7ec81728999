// The split virtqueue, device side (virtio 1.3, 2.7). No I/O: it reads and writes rings in guest memory and throws
// QueueError when the driver broke the rules. The driver runs at the same time on other CPUs: every field is read once,
// then judged, and the two indexes that order everything are accessed with Atomics.
import type { GuestAddress } from '../../lib/brand.ts';
import { type GuestMemory, GuestMemoryError } from '../../memory/guest-memory.ts';
import {
  VRING_AVAIL_ALIGN_SIZE,
  VRING_AVAIL_F_NO_INTERRUPT,
  VRING_DESC_ALIGN_SIZE,
  VRING_DESC_F_INDIRECT,
  VRING_DESC_F_NEXT,
  VRING_DESC_F_WRITE,
  VRING_USED_ALIGN_SIZE,
  VRING_USED_F_NO_NOTIFY,
  vring_avail,
  vring_desc,
  vring_used,
  vring_used_elem,
} from './abi.gen.ts';
import { type Chain, ScatterList } from './chain.ts';
import { QueueError } from './queue-error.ts';

/** Largest size of a virtqueue (virtio 1.3, 2.7). */
export const MAX_QUEUE_SIZE = 32768;
/** A chain's bytes fit a u32 (virtio 1.3, 2.7.5.2). */
const MAX_CHAIN_BYTES = 2 ** 32 - 1;
const AVAILABLE_ENTRY_SIZE = 2;
/** used_event and avail_event, the words behind the two rings (virtio 1.3, 2.7.7 and 2.7.10). */
const EVENT_SIZE = 2;

/** Bytes of each part of a virtqueue of `size` entries (the table of virtio 1.3, 2.7), the event words included. */
export function ringSizes(size: number): { descriptorTable: number; availableRing: number; usedRing: number } {
  return {
    descriptorTable: vring_desc.sizeof * size,
    availableRing: vring_avail.ring + AVAILABLE_ENTRY_SIZE * size + EVENT_SIZE,
    usedRing: vring_used.ring + vring_used_elem.sizeof * size + EVENT_SIZE,
  };
}

/** Where a driver put a virtqueue. */
export interface QueueLayout {
  /** Entries: a power of two. */
  readonly size: number;
  readonly descriptorTable: GuestAddress;
  readonly availableRing: GuestAddress;
  readonly usedRing: GuestAddress;
}

/** Where the device's side of a ring stands, for a snapshot or a back end in another process. */
export interface QueuePosition {
  /** The available entry to take next, modulo 2^16. */
  readonly nextAvailable: number;
  /** The used entry to write next, modulo 2^16. */
  readonly nextUsed: number;
}

/** Negotiated features that change how a ring is read. */
export interface QueueFeatures {
  /** VIRTIO_F_EVENT_IDX */
  readonly eventIndex: boolean;
  /** VIRTIO_F_INDIRECT_DESC */
  readonly indirect: boolean;
}

interface Descriptor {
  readonly address: number;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

export class Virtqueue implements QueueLayout {
  readonly size: number;
  readonly descriptorTable: GuestAddress;
  readonly availableRing: GuestAddress;
  readonly usedRing: GuestAddress;

  readonly #memory: GuestMemory;
  readonly #features: QueueFeatures;
  readonly #table: DataView;
  readonly #available: DataView;
  readonly #used: DataView;
  readonly #availableIndex: Uint16Array;
  readonly #usedIndex: Uint16Array;
  readonly #usedFlags: Uint16Array;
  /** used_event, written by the driver behind the available ring. */
  readonly #usedEvent: Uint16Array;
  /** avail_event, written by us behind the used ring. */
  readonly #availableEvent: Uint16Array;

  #nextAvailable = 0;
  #nextUsed = 0;
  /** The used index at which the driver was last told, or last found not to want to be told. */
  #notifiedUsed = 0;
  #inFlight = 0;
  #stopped = false;

  /**
   * @param position where an earlier life of this ring stopped
   * @throws QueueError QUEUE_SIZE or RING_ADDRESS when the driver's set-up cannot be a virtqueue
   */
  constructor(
    memory: GuestMemory,
    layout: QueueLayout,
    features: QueueFeatures,
    position: QueuePosition = { nextAvailable: 0, nextUsed: 0 },
  ) {
    const { size } = layout;
    if (!Number.isInteger(size) || size < 1 || size > MAX_QUEUE_SIZE || (size & (size - 1)) !== 0) {
      throw new QueueError('QUEUE_SIZE', `a queue size of ${size} is not a power of two up to ${MAX_QUEUE_SIZE}`, {
        size,
      });
    }
    this.size = size;
    this.descriptorTable = layout.descriptorTable;
    this.availableRing = layout.availableRing;
    this.usedRing = layout.usedRing;
    this.#memory = memory;
    this.#features = features;
    const bytes = ringSizes(size);
    this.#table = ringPart(
      memory,
      'descriptor table',
      layout.descriptorTable,
      bytes.descriptorTable,
      VRING_DESC_ALIGN_SIZE,
    );
    this.#available = ringPart(
      memory,
      'available ring',
      layout.availableRing,
      bytes.availableRing,
      VRING_AVAIL_ALIGN_SIZE,
    );
    this.#used = ringPart(memory, 'used ring', layout.usedRing, bytes.usedRing, VRING_USED_ALIGN_SIZE);
    this.#availableIndex = word(this.#available, vring_avail.idx);
    this.#usedIndex = word(this.#used, vring_used.idx);
    this.#usedFlags = word(this.#used, vring_used.flags);
    this.#usedEvent = word(this.#available, bytes.availableRing - EVENT_SIZE);
    this.#availableEvent = word(this.#used, bytes.usedRing - EVENT_SIZE);
    this.#moveTo(position);
  }

  /**
   * Where the ring stands. Chains that the device holds count as not taken: they must be the last ones taken, and be taken
   * again by whoever goes on from here.
   */
  get position(): QueuePosition {
    return { nextAvailable: (this.#nextAvailable - this.#inFlight) & 0xffff, nextUsed: this.#nextUsed };
  }

  /**
   * Goes on where a back end outside this process stopped, which has put back all that it took.
   * @param nextAvailable what the back end says that it would take next
   */
  continueFrom(nextAvailable: number): void {
    if (!this.#stopped) this.#moveTo({ nextAvailable, nextUsed: Atomics.load(this.#usedIndex, 0) });
  }

  #moveTo({ nextAvailable, nextUsed }: QueuePosition): void {
    this.#nextAvailable = nextAvailable & 0xffff;
    this.#nextUsed = nextUsed & 0xffff;
    this.#notifiedUsed = this.#nextUsed;
    this.#inFlight = 0;
  }

  /** Index of the next available entry to take: what a back end in another process starts from. */
  get nextAvailable(): number {
    return this.#nextAvailable;
  }

  /** Whether the driver made something available that was not taken yet. */
  get hasAvailable(): boolean {
    return !this.#stopped && Atomics.load(this.#availableIndex, 0) !== this.#nextAvailable;
  }

  /**
   * Takes the next chain; undefined when there is none.
   * @throws QueueError when the ring or the chain breaks the rules
   */
  take(): Chain | undefined {
    if (this.#stopped) return undefined;
    // The atomic load keeps the entry from being read before the index that publishes it (virtio 1.3, 2.7.13.3).
    const availableIndex = Atomics.load(this.#availableIndex, 0);
    const count = (availableIndex - this.#nextAvailable) & 0xffff;
    if (count === 0) return undefined;
    // At most `size` chains are the device's at a time: more cannot have descriptors of their own.
    if (count + this.#inFlight > this.size) {
      throw new QueueError('AVAILABLE_INDEX', `${count + this.#inFlight} chains in a ring of ${this.size}`, {
        availableIndex,
        nextAvailable: this.#nextAvailable,
      });
    }
    const slot = this.#nextAvailable & (this.size - 1);
    const head = this.#available.getUint16(vring_avail.ring + AVAILABLE_ENTRY_SIZE * slot, true);
    const chain = this.#walk(head);
    this.#nextAvailable = (this.#nextAvailable + 1) & 0xffff;
    this.#inFlight += 1;
    return chain;
  }

  /**
   * Returns a chain to the driver, in any order. After `stop` it does nothing: the memory may be another ring's by then.
   * @param written bytes written to the start of the chain's writable part
   */
  putUsed(chain: Chain, written: number): void {
    this.addUsed(chain, written);
    this.publishUsed();
  }

  /** As `putUsed`, but the driver sees it from `publishUsed` on: for chains that it must see together. */
  addUsed(chain: Chain, written: number): void {
    if (this.#stopped) return;
    const offset = vring_used.ring + vring_used_elem.sizeof * (this.#nextUsed & (this.size - 1));
    this.#used.setUint32(offset + vring_used_elem.id, chain.head, true);
    this.#used.setUint32(offset + vring_used_elem.len, written, true);
    this.#nextUsed = (this.#nextUsed + 1) & 0xffff;
    this.#inFlight -= 1;
  }

  /** Shows the driver all that `addUsed` returned. */
  publishUsed(): void {
    if (this.#stopped) return;
    // The store is sequentially consistent, so what was written before it is seen first
    // (virtio 1.3, 2.7.8.2).
    Atomics.store(this.#usedIndex, 0, this.#nextUsed);
  }

  /** Whether the driver wants an interrupt for what was returned since the last call (virtio 1.3, 2.7.7). */
  takeInterrupt(): boolean {
    if (this.#stopped || this.#nextUsed === this.#notifiedUsed) return false;
    const previous = this.#notifiedUsed;
    this.#notifiedUsed = this.#nextUsed;
    if (this.#features.eventIndex) {
      // publishUsed's store is a full fence: this load cannot see a used_event older than the driver's view of our index.
      const usedEvent = Atomics.load(this.#usedEvent, 0);
      return ((this.#nextUsed - usedEvent - 1) & 0xffff) < ((this.#nextUsed - previous) & 0xffff);
    }
    return (this.#available.getUint16(vring_avail.flags, true) & VRING_AVAIL_F_NO_INTERRUPT) === 0;
  }

  /** Tells the driver that it need not ring the bell while we are looking anyway (virtio 1.3, 2.7.10). */
  suppressNotifications(): void {
    if (this.#stopped) return;
    // An event behind what was taken already is not reached before the index wraps.
    if (this.#features.eventIndex) Atomics.store(this.#availableEvent, 0, this.#nextAvailable - 1);
    else Atomics.store(this.#usedFlags, 0, VRING_USED_F_NO_NOTIFY);
  }

  /**
   * Asks the driver to ring the bell for the next chain.
   * @returns whether a chain is there already, for which the bell may not ring: look again
   */
  requestNotifications(): boolean {
    if (this.#stopped) return false;
    if (this.#features.eventIndex) Atomics.store(this.#availableEvent, 0, this.#nextAvailable);
    else Atomics.store(this.#usedFlags, 0, 0);
    // The store above is a full fence: either we see the driver's new index here, or it sees our request.
    return this.hasAvailable;
  }

  /** From now on the ring is not touched: the device was reset. Late completions find a queue that ignores them. */
  stop(): void {
    this.#stopped = true;
  }

  #walk(head: number): Chain {
    const readable: Uint8Array[] = [];
    const writable: Uint8Array[] = [];
    let table = this.#table;
    let tableSize = this.size;
    let index = head;
    let indirect = false;
    let bytes = 0;
    // Each turn takes one buffer or enters the one indirect table, so a loop ends at the bound.
    for (let buffers = 0; ; ) {
      if (index >= tableSize) {
        throw new QueueError('DESCRIPTOR_INDEX', `descriptor ${index} in a table of ${tableSize}`, { head, index });
      }
      const descriptor = readDescriptor(table, index);
      if ((descriptor.flags & VRING_DESC_F_INDIRECT) !== 0) {
        table = this.#indirectTable(descriptor, indirect, head);
        tableSize = table.byteLength / vring_desc.sizeof;
        indirect = true;
        index = 0;
        continue;
      }
      // "A driver MUST NOT create a descriptor chain longer than the Queue Size of the device" (virtio 1.3, 2.7.5.3.1).
      buffers += 1;
      bytes += descriptor.length;
      if (buffers > this.size || bytes > MAX_CHAIN_BYTES) {
        throw new QueueError('CHAIN_LENGTH', `a chain of ${buffers} descriptors and ${bytes} bytes`, { head });
      }
      const isWritable = (descriptor.flags & VRING_DESC_F_WRITE) !== 0;
      if (!isWritable && writable.length > 0) {
        throw new QueueError('DESCRIPTOR_ORDER', 'a device-readable buffer behind a device-writable one', { head });
      }
      (isWritable ? writable : readable).push(this.#buffer(descriptor, head));
      if ((descriptor.flags & VRING_DESC_F_NEXT) === 0) break;
      index = descriptor.next;
    }
    return { head, readable: new ScatterList(readable), writable: new ScatterList(writable) };
  }

  #buffer({ address, length }: Descriptor, head: number): Uint8Array {
    // The specification does not ask for empty buffers and no driver makes them; they would only cost us time.
    if (length === 0 || !this.#memory.contains(address, length)) {
      throw new QueueError('DESCRIPTOR_BUFFER', `a buffer of ${length} bytes at 0x${address.toString(16)}`, { head });
    }
    return this.#memory.slice(address, length);
  }

  #indirectTable({ address, length, flags }: Descriptor, nested: boolean, head: number): DataView {
    const broken =
      (!this.#features.indirect && 'that was not negotiated') ||
      (nested && 'inside an indirect table') ||
      ((flags & VRING_DESC_F_NEXT) !== 0 && 'with a next descriptor') ||
      ((length === 0 || length % vring_desc.sizeof !== 0) && `of ${length} bytes`) ||
      (length / vring_desc.sizeof > this.size && `of more descriptors than the queue's ${this.size}`) ||
      (!this.#memory.contains(address, length) && `at 0x${address.toString(16)}, outside RAM`);
    if (broken) throw new QueueError('INDIRECT_TABLE', `an indirect table ${broken}`, { head, address, length });
    const table = this.#memory.slice(address, length);
    return new DataView(table.buffer, table.byteOffset, table.length);
  }
}

function readDescriptor(table: DataView, index: number): Descriptor {
  const offset = index * vring_desc.sizeof;
  const low = table.getUint32(offset + vring_desc.addr, true);
  const high = table.getUint32(offset + vring_desc.addr + 4, true);
  return {
    // Above 2^53 this rounds, to an address that is far outside RAM all the same.
    address: high * 2 ** 32 + low,
    length: table.getUint32(offset + vring_desc.len, true),
    flags: table.getUint16(offset + vring_desc.flags, true),
    next: table.getUint16(offset + vring_desc.next, true),
  };
}

function ringPart(memory: GuestMemory, name: string, address: number, length: number, alignment: number): DataView {
  if (address % alignment !== 0) {
    throw new QueueError('RING_ADDRESS', `the ${name} at 0x${address.toString(16)} is not ${alignment}-byte aligned`, {
      address,
    });
  }
  try {
    const bytes = memory.slice(address, length);
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  } catch (error) {
    if (!(error instanceof GuestMemoryError)) throw error;
    throw new QueueError('RING_ADDRESS', `the ${name} at 0x${address.toString(16)} is not inside RAM`, { address });
  }
}

/** One aligned 16-bit word of a ring, for Atomics. */
function word(part: DataView, offset: number): Uint16Array {
  return new Uint16Array(part.buffer, part.byteOffset + offset, 1);
}
