// What a driver can do wrong, by name, against every device: the device either needs a reset or goes on, never anything else.
// HostileMachine checks what holds for all of them.
import { describe, expect, test } from 'vitest';
import * as abi from '../../src/devices/virtio/abi.gen.ts';
import { STATUS } from '../../src/devices/virtio/status.ts';
import { HostileMachine } from './hostile-machine.ts';
import type { Place, Program, RawEntry, Step } from './step.ts';
import type { Subject } from './subject.ts';
import { SUBJECTS } from './subjects.ts';

const SIZE = 8;
const NEXT = abi.VRING_DESC_F_NEXT;
const WRITE = abi.VRING_DESC_F_WRITE;
const INDIRECT = abi.VRING_DESC_F_INDIRECT;
const INDIRECT_BIT = 2 ** abi.VIRTIO_RING_F_INDIRECT_DESC;

const start: Step = { do: 'start', sizeExponent: Math.log2(SIZE), refuse: 0 };
const at = (base: Place['base'], offset = 0, queue = 0): Place => ({ base, queue, offset });
const ram = (offset: number): Place => at('low-ram', offset);
const BUFFER = ram(0x8000);
const TABLE = ram(0x9000);
const entry = (place: Place, length: number, flags = 0, next = 0): RawEntry => ({ place, length, flags, next });

/** Writes these descriptors, offers the first of them (or these heads) and rings the bell. */
function offer(subject: Subject, entries: readonly RawEntry[], heads = [0], advance = heads.length): Program {
  const queue = subject.eagerQueue;
  return [
    start,
    ...entries.map((descriptor, index): Step => ({ do: 'descriptor', queue, index, entry: descriptor })),
    { do: 'offer', queue, heads, advance },
    subject.bell ?? { do: 'kick', queue },
    { do: 'turn', microtasks: 8 },
  ];
}

function offerIndirect(subject: Subject, table: readonly RawEntry[], direct: RawEntry): Program {
  const [first = start, ...rest] = offer(subject, [direct]);
  return [first, { do: 'table', place: TABLE, entries: table }, ...rest];
}

type Attack = (subject: Subject) => Program;

/** Chains and rings that no device can take. */
const BROKEN_RINGS: Readonly<Record<string, Attack>> = {
  'a chain that is its own next': (s) => offer(s, [entry(BUFFER, 16, NEXT, 0)]),
  'a cycle of two': (s) => offer(s, [entry(BUFFER, 16, NEXT, 1), entry(BUFFER, 16, NEXT, 0)]),
  'a cycle of writable descriptors': (s) =>
    offer(s, [entry(BUFFER, 16, NEXT | WRITE, 1), entry(BUFFER, 16, NEXT | WRITE, 0)]),
  'a next beyond the table': (s) => offer(s, [entry(BUFFER, 16, NEXT, SIZE)]),
  'a next of 65535': (s) => offer(s, [entry(BUFFER, 16, NEXT, 0xffff)]),
  'a head beyond the table': (s) => offer(s, [], [SIZE]),
  'a head of 65535': (s) => offer(s, [], [0xffff]),
  'a buffer in a hole': (s) => offer(s, [entry(at('hole'), 16)]),
  'a buffer above 4 GiB': (s) => offer(s, [entry(at('4-gib'), 16)]),
  'a buffer that begins before the end of RAM': (s) => offer(s, [entry(at('end-of-low-ram', 8), 16)]),
  'a buffer that wraps at 2^64': (s) => offer(s, [entry(at('top', 7), 16)]),
  'a writable buffer that wraps at 2^64 into RAM': (s) => offer(s, [entry(at('top', 7), 0x1_0000, WRITE)]),
  'a buffer of no bytes': (s) => offer(s, [entry(BUFFER, 0)]),
  'a buffer of 4 GiB': (s) => offer(s, [entry(ram(0), 0xffff_ffff)]),
  'a readable buffer behind a writable one': (s) => offer(s, [entry(BUFFER, 16, WRITE | NEXT, 1), entry(BUFFER, 16)]),
  'an index one beyond the ring': (s) => offer(s, [entry(BUFFER, 16)], [0], SIZE + 1),
  'an index that goes back': (s) => offer(s, [entry(BUFFER, 16)], [0], 0xffff),
  'an index half way round': (s) => offer(s, [entry(BUFFER, 16)], [0], 0x8000),
  'an indirect table that was not negotiated': (s) =>
    offerIndirect(s, [entry(BUFFER, 16)], entry(TABLE, 16, INDIRECT)).map((step) =>
      step.do === 'start' ? { ...step, refuse: INDIRECT_BIT } : step,
    ),
  'an indirect table in an indirect table': (s) =>
    offerIndirect(s, [entry(TABLE, 16, INDIRECT)], entry(TABLE, 16, INDIRECT)),
  'an indirect table with a next': (s) => offerIndirect(s, [entry(BUFFER, 16)], entry(TABLE, 16, INDIRECT | NEXT, 1)),
  'an indirect table of no bytes': (s) => offerIndirect(s, [entry(BUFFER, 16)], entry(TABLE, 0, INDIRECT)),
  'an indirect table of half a descriptor': (s) => offerIndirect(s, [entry(BUFFER, 16)], entry(TABLE, 24, INDIRECT)),
  'an indirect table larger than the queue': (s) =>
    offerIndirect(s, [entry(BUFFER, 16)], entry(TABLE, 16 * (SIZE + 1), INDIRECT)),
  'an indirect table of 4 GiB': (s) => offerIndirect(s, [entry(BUFFER, 16)], entry(TABLE, 0xffff_fff0, INDIRECT)),
  'an indirect table outside RAM': (s) => offerIndirect(s, [], entry(at('hole'), 16, INDIRECT)),
  'a cycle in an indirect table': (s) => offerIndirect(s, [entry(BUFFER, 16, NEXT, 0)], entry(TABLE, 16, INDIRECT)),
  'a next beyond an indirect table': (s) => offerIndirect(s, [entry(BUFFER, 16, NEXT, 1)], entry(TABLE, 16, INDIRECT)),
};

const acknowledged: Step[] = [
  { do: 'status', value: STATUS.reset },
  { do: 'negotiate', features: '0x0' },
];
const layout = (size: number, descriptors: Place, available: Place, used: Place, queue = 0): Step => ({
  do: 'layout',
  queue,
  size,
  descriptors,
  available,
  used,
});
const good = (size: number, queue = 0): Step => layout(size, ram(0x1000), ram(0x3000), ram(0x4000), queue);
const ALL_QUEUES = [0, 1, 2, 3];

/** Set-ups that no device can start with. */
const BROKEN_SETUPS: Readonly<Record<string, Program>> = {
  'DRIVER_OK without queues': [...acknowledged, { do: 'status', value: STATUS.running }],
  'a queue of no entries': [...acknowledged, good(0)],
  'a queue of three entries': [...acknowledged, good(3)],
  'a queue larger than the largest': [...acknowledged, good(0x8000)],
  'a queue of 2^32 - 1 entries': [...acknowledged, good(0xffff_ffff)],
  'a queue twice as large as the largest of all': [...acknowledged, layout(2048, ram(0), ram(0x8000), ram(0xa000))],
  'a descriptor table outside RAM': [...acknowledged, layout(8, at('hole'), ram(0x3000), ram(0x4000))],
  'an available ring across the end of RAM': [
    ...acknowledged,
    layout(8, ram(0), at('end-of-low-ram', 16), ram(0x4000)),
  ],
  'a used ring at the top of the address space': [...acknowledged, layout(8, ram(0), ram(0x3000), at('top'))],
  'a queue that is stopped while it runs': [
    start,
    { do: 'write', offset: abi.VIRTIO_MMIO_QUEUE_READY, bytes: [0, 0, 0, 0] },
  ],
};

const overlapping = (descriptors: Place, available: Place, used: Place): Program => [
  ...acknowledged,
  ...ALL_QUEUES.map((queue) => layout(8, descriptors, available, used, queue)),
  { do: 'status', value: STATUS.running },
  ...ALL_QUEUES.flatMap((queue): Step[] => [
    { do: 'offer', queue, heads: [0, 1, 2, 3], advance: 4 },
    { do: 'kick', queue },
    { do: 'host', choice: queue, size: 100 },
  ]),
];
const everyStep = (count: number, make: (index: number) => Step[]): Step[] =>
  Array.from({ length: count }, (_, index) => make(index)).flat();

/** What is odd, or rude, and may or may not make a device ask for a reset. */
const ODD: Readonly<Record<string, Program>> = {
  'the used ring over the descriptor table': overlapping(ram(0x1000), ram(0x3000), ram(0x1000)),
  'all parts of all queues in one place': overlapping(ram(0x1000), ram(0x1000), ram(0x1000)),
  'the used ring over the available ring': overlapping(ram(0x1000), ram(0x3000), ram(0x3000)),
  'a storm of bells': [start, ...ALL_QUEUES.map((queue): Step => ({ do: 'storm', queue, times: 2000 }))],
  'bells of queues that are not there': [
    start,
    ...[12, 0xffff, 0xffff_ffff].map((queue): Step => ({ do: 'kick', queue })),
  ],
  'bells before DRIVER_OK': [...acknowledged, ...ALL_QUEUES.map((queue): Step => ({ do: 'kick', queue }))],
  'every status from every status': everyStep(256, (value) => [
    { do: 'status', value },
    { do: 'status', value: STATUS.running },
  ]),
  'writes of every width all over the page': [
    start,
    ...everyStep(0x1000 / 4, (index) => [
      { do: 'write', offset: 4 * index, bytes: [index & 0xff] },
      { do: 'write', offset: 4 * index + 1, bytes: [1, 2] },
      { do: 'write', offset: 4 * index + 2, bytes: [1, 2, 3, 4, 5, 6, 7, 8] },
    ]),
  ],
  'writes to all of the configuration space': [
    start,
    ...everyStep(128, (index) =>
      [1, 2, 4, 8].map((width) => ({
        do: 'write',
        offset: abi.VIRTIO_MMIO_CONFIG + index,
        bytes: Array.from({ length: width }, () => 0xff),
      })),
    ),
  ],
  'reads across the end of the page': everyStep(16, (index) => [{ do: 'read', offset: 0xff8 + index, length: 8 }]),
  'an index that another processor moves on and on': [
    start,
    ...ALL_QUEUES.flatMap((queue): Step[] => [
      { do: 'push', queue, parts: [{ kind: 'bytes', length: 64, byte: 0 }] },
      { do: 'churn', queue, every: 3, isToAndFro: false },
      { do: 'kick', queue },
      { do: 'host', choice: queue, size: 100 },
      { do: 'turn', microtasks: 20 },
    ]),
  ],
  'an index that another processor moves to and fro': everyStep(12, (every) => [
    start,
    ...ALL_QUEUES.flatMap((queue): Step[] => [
      { do: 'push', queue, parts: [{ kind: 'bytes', length: 64, byte: 0 }] },
      { do: 'churn', queue, every: every + 1, isToAndFro: true },
      { do: 'kick', queue },
      { do: 'host', choice: queue, size: 100 },
      { do: 'turn', microtasks: 20 },
    ]),
  ]),
  'more requests than the host takes at a time': [
    { ...start, sizeExponent: 7 },
    { do: 'host', choice: 2, size: 0 },
    ...everyStep(40, (index): Step[] => [
      {
        do: 'push',
        queue: index % 2,
        parts: [
          { kind: 'opening', index: 0, at: 0, byte: null },
          { kind: 'room', length: 513 },
        ],
      },
    ]),
    { do: 'kick', queue: 0 },
    { do: 'kick', queue: 1 },
    { do: 'turn', microtasks: 100 },
  ],
  'a host that does each of its things many times': everyStep(12, (choice) => [
    start,
    ...everyStep(24, () => [{ do: 'host', choice: 7 * choice + 3, size: 100 }]),
    ...everyStep(24, () => [{ do: 'host', choice, size: 100 }]),
    { do: 'turn', microtasks: 4 },
  ]),
  'resets while requests are at work': everyStep(20, (index) => [
    start,
    { do: 'host', choice: 2, size: 0 },
    {
      do: 'push',
      queue: 0,
      parts: [
        { kind: 'opening', index, at: 0, byte: null },
        { kind: 'room', length: 513 },
      ],
    },
    { do: 'push', queue: 1, parts: [{ kind: 'opening', index, at: 0, byte: null }] },
    { do: 'kick', queue: 0 },
    { do: 'kick', queue: 1 },
    { do: 'turn', microtasks: index % 4 },
  ]),
  'moves while requests are at work': everyStep(8, (index) => [
    start,
    {
      do: 'push',
      queue: 0,
      parts: [
        { kind: 'opening', index, at: 0, byte: null },
        { kind: 'room', length: 513 },
      ],
    },
    { do: 'kick', queue: 0 },
    { do: 'move' },
  ]),
};

async function statusAfter(subject: Subject, program: Program): Promise<number> {
  const machine = new HostileMachine(subject);
  await machine.runSteps(program);
  const { status } = machine;
  await machine.finish();
  return status;
}

describe.each(SUBJECTS.map((subject) => [subject.name, subject] as const))('%s', (_, subject) => {
  test.each(Object.entries(BROKEN_RINGS))('needs a reset after %s', async (_, attack) => {
    const status = await statusAfter(subject, attack(subject));

    expect(status & abi.VIRTIO_CONFIG_S_NEEDS_RESET).not.toBe(0);
  });

  test.each(Object.entries(BROKEN_SETUPS))('needs a reset after %s', async (_, program) => {
    const status = await statusAfter(subject, program);

    expect(status & abi.VIRTIO_CONFIG_S_NEEDS_RESET).not.toBe(0);
  });

  test.each(Object.entries(ODD))('lives with %s', async (_, program) => {
    await new HostileMachine(subject).run(program);
  });

  test.each([40, 50, 63])('refuses feature %i, which it did not offer', async (bit) => {
    const features = `0x${(1n << BigInt(bit)).toString(16)}`;

    const status = await statusAfter(subject, [{ do: 'negotiate', features }]);

    expect(status).toBe(STATUS.driverFound);
  });
});
