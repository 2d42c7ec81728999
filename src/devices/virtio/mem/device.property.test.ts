import fc from 'fast-check';
import { expect, test } from 'vitest';
import { VIRTIO_MEM_RESP_ACK, vring_desc } from '../abi.gen.ts';
import { BLOCK_COUNT, encodeRequest, LAYOUT, MAXIMUM_BLOCKS, MemoryGuest } from '../testing/memory-guest.ts';
import { writeDescriptor } from '../testing/mock-driver.ts';

const range = fc.record({ first: fc.integer({ min: -1, max: BLOCK_COUNT + 1 }), count: fc.nat(BLOCK_COUNT + 1) });
const step = fc.oneof(
  fc.record({ kind: fc.constantFrom('plug' as const, 'unplug' as const, 'state' as const), range }),
  fc.record({ kind: fc.constant('unplug-all' as const), range }),
  fc.record({ kind: fc.constant('want' as const), range }),
);

test('the device, its driver and the host agree on what is plugged, and that is never more than was wanted', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const guest = new MemoryGuest();
      const expected = new Set<number>();
      for (const { kind, range: blocks } of steps) {
        const numbers = Array.from({ length: blocks.count }, (_, index) => blocks.first + index);
        const before = expected.size;
        if (kind === 'want') {
          guest.want(Math.min(blocks.count, MAXIMUM_BLOCKS));
          continue;
        }
        const [type] = guest.ask(kind, blocks.first, blocks.count);
        if (type !== VIRTIO_MEM_RESP_ACK) continue;
        if (kind === 'plug') for (const block of numbers) expected.add(block);
        if (kind === 'unplug') for (const block of numbers) expected.delete(block);
        if (kind === 'unplug-all') expected.clear();
        expect(expected.size <= before || expected.size * LAYOUT.blockSize <= guest.device.requestedSize).toBe(true);
      }
      const inOrder = (blocks: Iterable<number>) => [...blocks].sort((a, b) => a - b);

      expect(inOrder(guest.host.plugged)).toEqual(inOrder(expected));
      expect(guest.blocksOf('plugged_size')).toBe(expected.size);
      expect([...guest.device.pluggedRanges()].reduce((sum, { length }) => sum + length, 0)).toBe(
        expected.size * LAYOUT.blockSize,
      );
      for (let block = 0; block < BLOCK_COUNT; block++) {
        expect(guest.device.isPlugged(block * LAYOUT.blockSize, LAYOUT.blockSize)).toBe(expected.has(block));
      }
    }),
    { numRuns: 500 },
  );
});

test('arbitrary requests get an answer, and plug nothing that is not wanted', () => {
  fc.assert(
    fc.property(fc.nat(0xffff), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.nat(0xffff), (type, address, count) => {
      const guest = new MemoryGuest();

      expect(guest.askRaw(encodeRequest(type, address, count))).toHaveLength(2);
      expect(guest.host.plugged.size).toBe(0);
    }),
    { numRuns: 1000 },
  );
});

test('arbitrary descriptors fail the device or are answered', () => {
  const descriptor = fc.record({
    address: fc.oneof(
      fc.integer({ min: 0x2000, max: 0x1_0000 }).map(BigInt),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    ),
    length: fc.oneof(fc.constantFrom(10, 18, 24), fc.integer({ min: 0, max: 0xffff_ffff })),
    flags: fc.integer({ min: 0, max: 7 }),
    next: fc.integer({ min: 0, max: 9 }),
  });
  fc.assert(
    fc.property(
      fc.array(descriptor, { minLength: 8, maxLength: 8 }),
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 12 }),
      (table, heads) => {
        const guest = new MemoryGuest();
        guest.want(3);
        for (const [index, fields] of table.entries()) {
          writeDescriptor(guest.machine.memory, guest.queue.descriptorTable + vring_desc.sizeof * index, fields);
        }
        for (const head of heads) guest.queue.pushHead(head);
        guest.queue.kick();
        guest.machine.runDeferred();

        expect(['active', 'failed']).toContain(guest.machine.transport.state.kind);
        expect(guest.host.plugged.size).toBeLessThanOrEqual(3);
      },
    ),
    { numRuns: 1000 },
  );
});
