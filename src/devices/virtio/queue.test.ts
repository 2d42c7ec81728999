import { describe, expect, test } from 'vitest';
import { guestAddress } from '../../lib/brand.ts';
import { GuestMemory } from '../../memory/guest-memory.ts';
import { VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE, vring_desc } from './abi.gen.ts';
import { type QueueFeatures, ringSizes, Virtqueue } from './queue.ts';
import { QueueError, type QueueErrorCode } from './queue-error.ts';
import { type RawDescriptor, writeDescriptor } from './testing/mock-driver.ts';

const SIZE = 8;
const TABLE = 0x1000;
const AVAILABLE = 0x2000;
const USED = 0x3000;
const DATA = 0x4000;
const RAM = 0x10000;
const PLAIN: QueueFeatures = { eventIndex: false, indirect: false };

class Ring {
  readonly memory = new GuestMemory([{ guestAddress: guestAddress(0), bytes: new Uint8Array(RAM) }]);
  readonly queue: Virtqueue;
  #next = 0;

  constructor(features: QueueFeatures = PLAIN) {
    this.queue = new Virtqueue(
      this.memory,
      {
        size: SIZE,
        descriptorTable: guestAddress(TABLE),
        availableRing: guestAddress(AVAILABLE),
        usedRing: guestAddress(USED),
      },
      features,
    );
  }

  descriptor(index: number, fields: Partial<RawDescriptor>): this {
    writeDescriptor(this.memory, TABLE + vring_desc.sizeof * index, {
      address: BigInt(DATA + 0x100 * index),
      length: 16,
      flags: 0,
      next: 0,
      ...fields,
    });
    return this;
  }

  offer(head: number): this {
    this.memory.writeU16(AVAILABLE + 4 + 2 * (this.#next % SIZE), head);
    this.#next = (this.#next + 1) & 0xffff;
    this.memory.writeU16(AVAILABLE + 2, this.#next);
    return this;
  }
}

function codeOf(action: () => unknown): QueueErrorCode | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof QueueError) return error.code;
    throw error;
  }
  return undefined;
}

describe('a virtqueue', () => {
  test('has nothing to take when nothing was made available', () => {
    expect(new Ring().queue.take()).toBeUndefined();
  });

  test('gives the readable and the writable parts of a chain', () => {
    const ring = new Ring()
      .descriptor(3, { length: 4, flags: VRING_DESC_F_NEXT, next: 5 })
      .descriptor(5, { length: 8, flags: VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, next: 0 })
      .descriptor(0, { length: 2, flags: VRING_DESC_F_WRITE })
      .offer(3);
    ring.memory.write(DATA + 0x300, Uint8Array.of(1, 2, 3, 4));

    const chain = ring.queue.take();

    expect(chain?.head).toBe(3);
    expect(chain?.readable.copy(0, 4)).toEqual(Uint8Array.of(1, 2, 3, 4));
    expect(chain?.writable.length).toBe(10);
  });

  test('publishes used entries in the order they are put, whatever order they were taken in', () => {
    const ring = new Ring().descriptor(1, {}).descriptor(2, {}).offer(1).offer(2);
    const first = ring.queue.take();
    const second = ring.queue.take();
    if (first === undefined || second === undefined) throw new Error('two chains were offered');

    ring.queue.putUsed(second, 7);
    ring.queue.putUsed(first, 0);

    const entries = [0, 1].map((slot) => [
      ring.memory.readU32(USED + 4 + 8 * slot),
      ring.memory.readU32(USED + 8 + 8 * slot),
    ]);
    expect(entries).toEqual([
      [2, 7],
      [1, 0],
    ]);
    expect(ring.memory.readU16(USED + 2)).toBe(2);
  });

  test('goes on past the wrap of the 16-bit indexes', () => {
    const ring = new Ring().descriptor(1, {});
    for (let round = 0; round < 65_600; round++) {
      const chain = ring.offer(1).queue.take();
      if (chain === undefined) throw new Error('a chain was offered');
      ring.queue.putUsed(chain, 0);
    }
    expect(ring.memory.readU16(USED + 2)).toBe(65_600 & 0xffff);
  });

  test('walks an indirect table that follows direct descriptors', () => {
    const ring = new Ring({ eventIndex: false, indirect: true })
      .descriptor(0, { length: 4, flags: VRING_DESC_F_NEXT, next: 1 })
      .descriptor(1, { address: 0x8000n, length: 32, flags: VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE })
      .offer(0);
    writeDescriptor(ring.memory, 0x8000, { address: 0x9000n, length: 5, flags: VRING_DESC_F_NEXT, next: 1 });
    writeDescriptor(ring.memory, 0x8010, { address: 0xa000n, length: 6, flags: VRING_DESC_F_WRITE, next: 0 });

    const chain = ring.queue.take();

    expect(chain?.readable.length).toBe(9);
    expect(chain?.writable.length).toBe(6);
  });

  test('touches no memory once it is stopped', () => {
    const ring = new Ring().descriptor(1, {}).offer(1);
    const chain = ring.queue.take();
    if (chain === undefined) throw new Error('a chain was offered');
    ring.offer(1);
    const before = ring.memory.copy(0, RAM);

    ring.queue.stop();
    ring.queue.putUsed(chain, 1);

    expect(ring.queue.take()).toBeUndefined();
    expect(ring.queue.takeInterrupt()).toBe(false);
    expect(ring.queue.requestNotifications()).toBe(false);
    expect(ring.memory.copy(0, RAM)).toEqual(before);
  });
});

describe('a ring that breaks the rules is refused', () => {
  const cases: readonly [string, QueueErrorCode, (ring: Ring) => unknown][] = [
    ['more made available than fits', 'AVAILABLE_INDEX', (r) => r.memory.writeU16(AVAILABLE + 2, SIZE + 1)],
    ['a head beyond the table', 'DESCRIPTOR_INDEX', (r) => r.offer(SIZE)],
    [
      'a next beyond the table',
      'DESCRIPTOR_INDEX',
      (r) => r.descriptor(0, { flags: VRING_DESC_F_NEXT, next: 99 }).offer(0),
    ],
    ['a loop', 'CHAIN_LENGTH', (r) => r.descriptor(0, { flags: VRING_DESC_F_NEXT, next: 0 }).offer(0)],
    ['an empty buffer', 'DESCRIPTOR_BUFFER', (r) => r.descriptor(0, { length: 0 }).offer(0)],
    ['a buffer behind RAM', 'DESCRIPTOR_BUFFER', (r) => r.descriptor(0, { address: BigInt(RAM - 8) }).offer(0)],
    ['an address that wraps', 'DESCRIPTOR_BUFFER', (r) => r.descriptor(0, { address: 2n ** 64n - 8n }).offer(0)],
    [
      'a readable buffer behind a writable one',
      'DESCRIPTOR_ORDER',
      (r) =>
        r
          .descriptor(0, { flags: VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, next: 1 })
          .descriptor(1, {})
          .offer(0),
    ],
    [
      'an indirect table nobody agreed on',
      'INDIRECT_TABLE',
      (r) => r.descriptor(0, { flags: VRING_DESC_F_INDIRECT }).offer(0),
    ],
  ];

  test.each(cases)('%s', (_, code, breakRing) => {
    const ring = new Ring();
    breakRing(ring);
    expect(codeOf(() => ring.queue.take())).toBe(code);
  });

  test.each([
    ['no whole number of descriptors', { length: 24 }],
    ['none at all', { length: 0 }],
    ['more than the queue size', { length: 16 * (SIZE + 1) }],
    ['outside RAM', { address: BigInt(RAM) }],
    ['followed by a next', { flags: VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT }],
  ])('an indirect table: %s', (_, fields) => {
    const ring = new Ring({ eventIndex: false, indirect: true })
      .descriptor(0, { address: 0x8000n, length: 16, flags: VRING_DESC_F_INDIRECT, ...fields })
      .offer(0);
    expect(codeOf(() => ring.queue.take())).toBe('INDIRECT_TABLE');
  });

  test('an indirect table inside another', () => {
    const ring = new Ring({ eventIndex: false, indirect: true })
      .descriptor(0, { address: 0x8000n, length: 16, flags: VRING_DESC_F_INDIRECT })
      .offer(0);
    writeDescriptor(ring.memory, 0x8000, { address: 0x8000n, length: 16, flags: VRING_DESC_F_INDIRECT, next: 0 });
    expect(codeOf(() => ring.queue.take())).toBe('INDIRECT_TABLE');
  });

  test.each([
    ['a size that is no power of two', 6, TABLE, 'QUEUE_SIZE'],
    ['an empty queue', 0, TABLE, 'QUEUE_SIZE'],
    ['a misaligned table', SIZE, TABLE + 8, 'RING_ADDRESS'],
    ['a table behind RAM', SIZE, RAM, 'RING_ADDRESS'],
  ] as const)('a set-up with %s', (_, size, table, code) => {
    const { memory } = new Ring();
    const layout = {
      size,
      descriptorTable: guestAddress(table),
      availableRing: guestAddress(AVAILABLE),
      usedRing: guestAddress(USED),
    };
    expect(codeOf(() => new Virtqueue(memory, layout, PLAIN))).toBe(code);
  });
});

describe('notifications', () => {
  const EVENT_IDX: QueueFeatures = { eventIndex: true, indirect: false };
  const usedEvent = AVAILABLE + 4 + 2 * SIZE;
  const availableEvent = USED + 4 + 8 * SIZE;

  function serve(ring: Ring): void {
    const chain = ring.descriptor(1, {}).offer(1).queue.take();
    if (chain === undefined) throw new Error('a chain was offered');
    ring.queue.putUsed(chain, 0);
  }

  test('without EVENT_IDX an interrupt is due unless the driver suppresses it', () => {
    const ring = new Ring();
    serve(ring);
    expect(ring.queue.takeInterrupt()).toBe(true);
    expect(ring.queue.takeInterrupt()).toBe(false);
    ring.memory.writeU16(AVAILABLE, 1);
    serve(ring);
    expect(ring.queue.takeInterrupt()).toBe(false);
  });

  test('with EVENT_IDX an interrupt is due when the used index passes used_event', () => {
    const ring = new Ring(EVENT_IDX);
    ring.memory.writeU16(usedEvent, 1);
    serve(ring);
    expect(ring.queue.takeInterrupt()).toBe(false);
    serve(ring);
    expect(ring.queue.takeInterrupt()).toBe(true);
  });

  test('a request for notifications finds what came before it', () => {
    const ring = new Ring(EVENT_IDX);
    serve(ring);
    expect(ring.queue.requestNotifications()).toBe(false);
    expect(ring.memory.readU16(availableEvent)).toBe(1);
    ring.descriptor(1, {}).offer(1);
    expect(ring.queue.requestNotifications()).toBe(true);
  });

  test('suppression is told in the flags, or by an event that was passed', () => {
    const plain = new Ring();
    plain.queue.suppressNotifications();
    expect(plain.memory.readU16(USED)).toBe(1);
    plain.queue.requestNotifications();
    expect(plain.memory.readU16(USED)).toBe(0);
    const event = new Ring(EVENT_IDX);
    event.queue.suppressNotifications();
    expect(event.memory.readU16(availableEvent)).toBe(0xffff);
  });
});

test('the sizes of the ring parts are those of the specification', () => {
  expect(ringSizes(256)).toEqual({ descriptorTable: 16 * 256, availableRing: 6 + 2 * 256, usedRing: 6 + 8 * 256 });
});
