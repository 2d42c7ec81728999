import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { guestAddress } from '../../lib/brand.ts';
import { GuestMemory } from '../../memory/guest-memory.ts';
import { Virtqueue } from './queue.ts';
import { QueueError } from './queue-error.ts';
import { type RawDescriptor, writeDescriptor } from './testing/mock-driver.ts';

const SIZE = 8;
const TABLE = 0x1000;
const AVAILABLE = 0x2000;
const USED = 0x3000;
const INDIRECT = 0x4000;
const RAM = 0x8000;

/** Descriptors of which most are nearly right, so that walks get far. */
const descriptor: fc.Arbitrary<RawDescriptor> = fc.record({
  address: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0x5000, max: RAM - 1 }).map(BigInt) },
    { weight: 3, arbitrary: fc.constant(BigInt(INDIRECT)) },
    { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) },
  ),
  length: fc.oneof(
    { weight: 5, arbitrary: fc.integer({ min: 1, max: 64 }) },
    { weight: 4, arbitrary: fc.constantFrom(16, 32, 48, 128) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff_ffff }) },
  ),
  flags: fc.integer({ min: 0, max: 7 }),
  next: fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 0, max: SIZE - 1 }) }, fc.integer({ min: 0, max: 0xffff })),
});

const table = fc.array(descriptor, { minLength: SIZE, maxLength: SIZE });

describe('whatever a ring holds', () => {
  test('each take gives a valid chain, nothing, or a QueueError, and ends', () => {
    fc.assert(
      fc.property(
        table,
        table,
        fc.array(fc.oneof(fc.integer({ min: 0, max: SIZE - 1 }), fc.integer({ min: 0, max: 0xffff })), {
          minLength: SIZE,
          maxLength: SIZE,
        }),
        fc.oneof(fc.integer({ min: 0, max: SIZE }), fc.integer({ min: 0, max: 0xffff })),
        fc.boolean(),
        fc.boolean(),
        (direct, indirect, heads, availableIndex, hasIndirect, eventIndex) => {
          const bytes = new Uint8Array(RAM);
          const memory = new GuestMemory([{ guestAddress: guestAddress(0), bytes }]);
          for (const [index, fields] of direct.entries()) writeDescriptor(memory, TABLE + 16 * index, fields);
          for (const [index, fields] of indirect.entries()) writeDescriptor(memory, INDIRECT + 16 * index, fields);
          for (const [slot, head] of heads.entries()) memory.writeU16(AVAILABLE + 4 + 2 * slot, head);
          memory.writeU16(AVAILABLE + 2, availableIndex);
          const queue = new Virtqueue(
            memory,
            {
              size: SIZE,
              descriptorTable: guestAddress(TABLE),
              availableRing: guestAddress(AVAILABLE),
              usedRing: guestAddress(USED),
            },
            { eventIndex, indirect: hasIndirect },
          );
          let taken = 0;
          try {
            for (let chain = queue.take(); chain !== undefined; chain = queue.take()) {
              taken += 1;
              const segments = [...chain.readable.segments, ...chain.writable.segments];
              expect(segments.length).toBeGreaterThan(0);
              expect(segments.length).toBeLessThanOrEqual(SIZE);
              for (const segment of segments) {
                expect(segment.buffer).toBe(bytes.buffer);
                expect(segment.length).toBeGreaterThan(0);
              }
              queue.putUsed(chain, 0);
            }
          } catch (error) {
            expect(error).toBeInstanceOf(QueueError);
          }
          expect(taken).toBeLessThanOrEqual(SIZE);
          expect(memory.readU16(USED + 2)).toBe(taken);
        },
      ),
      { numRuns: 5000 },
    );
  });
});
