import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PAGE_SIZE } from '../../../lib/units.ts';
import { vring_desc } from '../abi.gen.ts';
import { BalloonGuest, MEMORY_SIZE } from '../testing/balloon-guest.ts';
import { writeDescriptor } from '../testing/mock-driver.ts';

const MEMORY_PAGES = MEMORY_SIZE / PAGE_SIZE;

/** Pages that the host was given, each as often as it was. */
function discardedPages({ host }: BalloonGuest): number[] {
  return host.discarded.flatMap((range) => {
    const [first = 0, count = 0] = range.split('+').map(Number);
    return Array.from({ length: count }, (_, index) => first + index);
  });
}

test('every page of RAM that is listed is given back, and no other', () => {
  const page = fc.oneof(
    fc.integer({ min: 0, max: MEMORY_PAGES + 8 }),
    fc.integer({ min: MEMORY_PAGES - 8, max: MEMORY_PAGES + 8 }),
    fc.integer({ min: 0, max: 0xffff_ffff }),
  );
  fc.assert(
    fc.property(fc.array(fc.array(page, { minLength: 1, maxLength: 50 }), { maxLength: 6 }), (lists) => {
      const guest = new BalloonGuest();
      for (const pages of lists) guest.list(0, pages);
      const expected = lists.flatMap((pages) => [...new Set(pages)].filter((number) => number < MEMORY_PAGES));
      const inOrder = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b);
      expect(inOrder(discardedPages(guest))).toEqual(inOrder(expected));
      expect(guest.queue(0).takeUsed()).toHaveLength(lists.length);
    }),
    { numRuns: 400 },
  );
});

test('arbitrary descriptors fail the device or give whole pages of RAM back', () => {
  const descriptor = fc.record({
    address: fc.oneof(
      fc.integer({ min: 0, max: MEMORY_SIZE + PAGE_SIZE }).map(BigInt),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    ),
    length: fc.oneof(fc.constantFrom(4, 8, 1024, 4096, 65_536), fc.integer({ min: 0, max: 0xffff_ffff })),
    flags: fc.integer({ min: 0, max: 7 }),
    next: fc.integer({ min: 0, max: 9 }),
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 3 }),
      fc.array(descriptor, { minLength: 8, maxLength: 8 }),
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 12 }),
      (queueIndex, table, heads) => {
        const guest = new BalloonGuest({ freePageReporting: true });
        const queue = guest.queue(queueIndex);
        for (const [index, fields] of table.entries()) {
          writeDescriptor(guest.machine.memory, queue.descriptorTable + vring_desc.sizeof * index, fields);
        }
        for (const head of heads) queue.pushHead(head);
        queue.kick();
        for (let turn = 0; turn < 20; turn++) guest.machine.runDeferred();
        expect(['active', 'failed']).toContain(guest.machine.transport.state.kind);
        expect(discardedPages(guest).every((page) => Number.isInteger(page) && page < MEMORY_PAGES)).toBe(true);
      },
    ),
    { numRuns: 400 },
  );
});
