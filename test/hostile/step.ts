// What a hostile guest does, one step after the other, as plain data that JSON keeps; and how such programs are generated.
import fc from 'fast-check';
import * as abi from '../../src/devices/virtio/abi.gen.ts';
import { COALESCABLE_REGISTERS } from '../../src/devices/virtio/mmio-transport.ts';

/** A guest physical address, said by what is there. */
export interface Place {
  readonly base:
    | 'low-ram'
    | 'high-ram'
    | 'end-of-low-ram'
    | 'hole'
    | '4-gib'
    | 'top'
    /** The parts of a queue. */
    | 'descriptors'
    | 'available'
    | 'used';
  /** For the parts of a queue. */
  readonly queue: number;
  readonly offset: number;
}

export interface RawEntry {
  readonly place: Place;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

/** A part of a buffer that is well formed as the ring goes. */
export type Part =
  /** One of the device's `openings`, perhaps with a byte changed. */
  | { readonly kind: 'opening'; readonly index: number; readonly at: number; readonly byte: number | null }
  | { readonly kind: 'bytes'; readonly length: number; readonly byte: number }
  | { readonly kind: 'room'; readonly length: number };

export type Step =
  /** Everything as a good driver does it. @field refuse low bits of features that the driver does not take */
  | { readonly do: 'start'; readonly sizeExponent: number; readonly refuse: number }
  | { readonly do: 'negotiate'; readonly features: string }
  | {
      readonly do: 'layout';
      readonly queue: number;
      readonly size: number;
      readonly descriptors: Place;
      readonly available: Place;
      readonly used: Place;
    }
  | { readonly do: 'status'; readonly value: number }
  | { readonly do: 'write'; readonly offset: number; readonly bytes: readonly number[] }
  | { readonly do: 'read'; readonly offset: number; readonly length: number }
  | { readonly do: 'push'; readonly queue: number; readonly parts: readonly Part[] }
  | { readonly do: 'descriptor'; readonly queue: number; readonly index: number; readonly entry: RawEntry }
  | { readonly do: 'table'; readonly place: Place; readonly entries: readonly RawEntry[] }
  | { readonly do: 'offer'; readonly queue: number; readonly heads: readonly number[]; readonly advance: number }
  | { readonly do: 'poke'; readonly place: Place; readonly value: number }
  /** A poke by another processor, before the device's read of this number in one of the next turns. */
  | { readonly do: 'race'; readonly reads: number; readonly place: Place; readonly value: number }
  /**
   * From now on another processor moves a queue's available index after each so many accesses of the device: on and on, or
   * to and fro.
   */
  | { readonly do: 'churn'; readonly queue: number; readonly every: number; readonly isToAndFro: boolean }
  | { readonly do: 'kick'; readonly queue: number }
  | { readonly do: 'storm'; readonly queue: number; readonly times: number }
  | { readonly do: 'take'; readonly queue: number }
  /** The event loop goes round. */
  | { readonly do: 'turn'; readonly microtasks: number }
  /** The host's end does something. */
  | { readonly do: 'host'; readonly choice: number; readonly size: number }
  /** The machine is saved, and goes on in another process. */
  | { readonly do: 'move' };

export type Program = readonly Step[];

/** Queue numbers up to here mean one that the device has. */
export const LAST_QUEUE = 11;
const queue = fc.oneof({ weight: 30, arbitrary: fc.nat(LAST_QUEUE) }, fc.constantFrom(12, 64, 0xffff_ffff));
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffff_ffff);

const place: fc.Arbitrary<Place> = fc.record({
  base: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom('low-ram', 'descriptors', 'available', 'used') },
    { weight: 1, arbitrary: fc.constantFrom('high-ram', 'end-of-low-ram', 'hole', '4-gib', 'top') },
  ),
  queue,
  offset: fc.oneof(fc.constantFrom(0, 2, 4, 8, 12, 14, 16, 32, 0x1000, 0x8000), u16),
});

const entry: fc.Arbitrary<RawEntry> = fc.record({
  place,
  length: fc.oneof(fc.constantFrom(0, 1, 16, 32, 44, 64, 512, 4096, 0xffff, 0x1_0000, 0xffff_ffff), fc.nat(600), u32),
  flags: fc.oneof({ weight: 6, arbitrary: fc.nat(7) }, u16),
  next: fc.oneof({ weight: 6, arbitrary: fc.nat(15) }, u16),
});

const part: fc.Arbitrary<Part> = fc.oneof(
  fc.record({
    kind: fc.constant('opening' as const),
    index: fc.nat(31),
    at: fc.nat(63),
    byte: fc.option(fc.nat(255), { freq: 2 }),
  }),
  fc.record({
    kind: fc.constant('bytes' as const),
    length: fc.oneof(fc.constantFrom(1, 8, 12, 16, 44, 512), fc.integer({ min: 1, max: 1200 })),
    byte: fc.nat(127),
  }),
  fc.record({
    kind: fc.constant('room' as const),
    length: fc.oneof(fc.constantFrom(1, 4, 12, 44, 512, 1600), fc.integer({ min: 1, max: 2000 })),
  }),
);

/** Parts in the order that a ring lets through, or any. */
const parts = fc.oneof(
  {
    weight: 9,
    arbitrary: fc
      .array(part, { minLength: 1, maxLength: 4 })
      .map((list) => list.toSorted((a, b) => Number(a.kind === 'room') - Number(b.kind === 'room'))),
  },
  fc.array(part, { minLength: 1, maxLength: 5 }),
);

const REGISTERS = [
  ...COALESCABLE_REGISTERS,
  abi.VIRTIO_MMIO_DEVICE_FEATURES_SEL,
  abi.VIRTIO_MMIO_QUEUE_SEL,
  abi.VIRTIO_MMIO_QUEUE_READY,
  abi.VIRTIO_MMIO_QUEUE_NOTIFY,
  abi.VIRTIO_MMIO_INTERRUPT_ACK,
  abi.VIRTIO_MMIO_STATUS,
];
const registerBytes = fc
  .oneof(fc.constantFrom(0, 1, 2, 3, 4, 8, 11, 15, 64, 128, 0x4f, 0x8f, 0x1000, 0x3000_0000, 0xffff_ffff), u32)
  .map((value) => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24]);
const write = fc.oneof(
  fc.record({ do: fc.constant('write' as const), offset: fc.constantFrom(...REGISTERS), bytes: registerBytes }),
  fc.record({
    do: fc.constant('write' as const),
    offset: fc.oneof(fc.integer({ min: abi.VIRTIO_MMIO_CONFIG, max: abi.VIRTIO_MMIO_CONFIG + 80 }), fc.nat(0xfff)),
    bytes: fc.array(fc.nat(255), { minLength: 1, maxLength: 8 }),
  }),
);

const STATUS_VALUES = [0, 1, 2, 3, 4, 7, 8, 0xb, 0xf, 0x40, 0x4f, 0x80, 0x83, 0x8b, 0x8f, 0xff, 0x100];

const start: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('start' as const),
  sizeExponent: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(3, 4, 5) }, fc.nat(8)),
  refuse: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, u32),
});

const other: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('push' as const), queue, parts }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('kick' as const), queue }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('host' as const), choice: fc.nat(31), size: fc.nat(3000) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('turn' as const), microtasks: fc.nat(12) }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('descriptor' as const), queue, index: fc.nat(15), entry }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('table' as const),
      place,
      entries: fc.array(entry, { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('offer' as const),
      queue,
      heads: fc.array(fc.oneof({ weight: 5, arbitrary: fc.nat(15) }, u16), { maxLength: 6 }),
      advance: fc.oneof({ weight: 5, arbitrary: fc.nat(6) }, u16),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('poke' as const), place, value: u16 }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('race' as const),
      reads: fc.nat(60),
      place,
      value: fc.oneof(fc.nat(8), u16),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('churn' as const),
      queue,
      every: fc.integer({ min: 1, max: 24 }),
      isToAndFro: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('take' as const), queue }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('storm' as const), queue, times: fc.integer({ min: 2, max: 300 }) }),
  },
  { weight: 3, arbitrary: write },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('read' as const), offset: fc.nat(0x1100), length: fc.nat(16) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('status' as const),
      value: fc.oneof(fc.constantFrom(...STATUS_VALUES), u32),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('negotiate' as const),
      features: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((bits) => `0x${bits.toString(16)}`),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('layout' as const),
      queue,
      size: fc.oneof(fc.constantFrom(1, 2, 4, 8, 16), fc.constantFrom(0, 3, 256, 0x8000, 0x1_0000, 0xffff_ffff)),
      descriptors: place,
      available: place,
      used: place,
    }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'move' }) },
  { weight: 1, arbitrary: start },
);

/** Descriptors, a ring that offers them, and the bell, all of one queue. */
const attack: fc.Arbitrary<Step[]> = fc
  .record({
    queue,
    entries: fc.array(entry, { minLength: 1, maxLength: 4 }),
    heads: fc.array(fc.oneof({ weight: 8, arbitrary: fc.nat(3) }, u16), { minLength: 1, maxLength: 4 }),
    excess: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, fc.nat(40)),
  })
  .map(({ queue: of, entries, heads, excess }) => [
    ...entries.map((descriptor, index): Step => ({ do: 'descriptor', queue: of, index, entry: descriptor })),
    { do: 'offer', queue: of, heads, advance: heads.length + excess },
    { do: 'kick', queue: of },
  ]);

/** Buffers as a good driver offers them, and the bell. */
const use: fc.Arbitrary<Step[]> = fc
  .record({ queue, buffers: fc.array(parts, { minLength: 1, maxLength: 4 }) })
  .map(({ queue: of, buffers }) => [
    ...buffers.map((list): Step => ({ do: 'push', queue: of, parts: list })),
    { do: 'kick', queue: of },
  ]);

const group: fc.Arbitrary<Step[]> = fc.oneof(
  { weight: 6, arbitrary: other.map((step) => [step]) },
  { weight: 2, arbitrary: use },
  { weight: 1, arbitrary: attack },
);

/** Programs that mostly start as a good driver would, so that they get far. */
export function programs(maxLength: number): fc.Arbitrary<Program> {
  const groups = fc.array(group, { maxLength }).map((list) => list.flat());
  return fc.oneof({ weight: 9, arbitrary: fc.tuple(start, groups).map(([first, rest]) => [first, ...rest]) }, groups);
}
