// What a driver lets its device write: found by reading the rings again, independently of the code under test. It errs on the
// permissive side where a ring makes no sense, never on the strict one.
import {
  VRING_DESC_F_INDIRECT,
  VRING_DESC_F_NEXT,
  VRING_DESC_F_WRITE,
  vring_avail,
  vring_desc,
} from '../../src/devices/virtio/abi.gen.ts';
import type { QueueLayout } from '../../src/devices/virtio/queue.ts';
import type { BufferRange, GuardedMemory } from './guarded-memory.ts';

const AVAILABLE_ENTRY_SIZE = 2;
const USED_ENTRY_SIZE = 8;
const RING_HEADER_SIZE = 4;
const EVENT_SIZE = 2;

/** Buffers that a device may write, of everything that was offered since it was started. */
export class OfferedMemory {
  readonly #guarded: GuardedMemory;
  readonly #allowed: Uint8Array;
  readonly #known = new Set<string>();
  /** Whether each byte belongs to what a chain is read from: a write there may offer more. */
  readonly #structure: Uint8Array;

  constructor(guarded: GuardedMemory) {
    this.#guarded = guarded;
    this.#allowed = new Uint8Array(guarded.bytes.length);
    this.#structure = new Uint8Array(guarded.bytes.length);
  }

  allows(offset: number): boolean {
    return this.#allowed[offset] === 1;
  }

  /** Whether a write to this range may have changed what is offered. */
  isStructure({ offset, length }: BufferRange): boolean {
    return this.#structure.subarray(offset, offset + length).includes(1);
  }

  /** Takes in what a queue offers now. */
  add(layout: QueueLayout): void {
    const { memory } = this.#guarded;
    const { size, availableRing, descriptorTable } = layout;
    this.#mark(this.#structure, descriptorTable, size * vring_desc.sizeof);
    this.#mark(this.#structure, availableRing, RING_HEADER_SIZE + AVAILABLE_ENTRY_SIZE * size + EVENT_SIZE);
    const visited = new Set<number>();
    // Every slot: what an index says about them can change at any moment.
    for (let slot = 0; slot < size; slot++) {
      const head = memory.readU16(availableRing + vring_avail.ring + AVAILABLE_ENTRY_SIZE * slot);
      this.#walk(descriptorTable, size, head, visited, true);
    }
  }

  #walk(table: number, size: number, first: number, visited: Set<number>, mayEnter: boolean): void {
    const { memory } = this.#guarded;
    for (let index = first; index < size; ) {
      const at = table + index * vring_desc.sizeof;
      if (visited.has(at)) return;
      visited.add(at);
      const address = memory.readU64(at + vring_desc.addr);
      const length = memory.readU32(at + vring_desc.len);
      const flags = memory.readU16(at + vring_desc.flags);
      if ((flags & VRING_DESC_F_INDIRECT) !== 0) {
        const entries = Math.floor(length / vring_desc.sizeof);
        if (!mayEnter || !this.#mark(this.#structure, Number(address), length)) return;
        this.#walk(Number(address), entries, 0, visited, false);
        return;
      }
      if ((flags & VRING_DESC_F_WRITE) !== 0) this.#mark(this.#allowed, Number(address), length);
      if ((flags & VRING_DESC_F_NEXT) === 0) return;
      index = memory.readU16(at + vring_desc.next);
    }
  }

  /** @returns whether it is RAM */
  #mark(map: Uint8Array, address: number, length: number): boolean {
    const key = `${map === this.#allowed ? 'a' : 's'}${address}:${length}`;
    if (this.#known.has(key)) return true;
    const range = this.#guarded.locate(address, length);
    if (range === undefined) return false;
    this.#known.add(key);
    map.fill(1, range.offset, range.offset + range.length);
    return true;
  }
}

/** The used ring of a queue, which its device writes at any time. */
export function usedRingRange(guarded: GuardedMemory, { usedRing, size }: QueueLayout): BufferRange | undefined {
  return guarded.locate(usedRing, RING_HEADER_SIZE + USED_ENTRY_SIZE * size + EVENT_SIZE);
}
