import fc from 'fast-check';
import { expect, test } from 'vitest';
import { guestAddress } from '../../../lib/brand.ts';
import { MIB } from '../../../lib/units.ts';
import { GuestMemory } from '../../../memory/guest-memory.ts';
import {
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
  VIRTIO_BLK_T_WRITE_ZEROES,
  vring_desc,
} from '../abi.gen.ts';
import { BlockGuest, MemoryDisk, requestRange } from '../testing/block-guest.ts';
import { type BufferPart, writeDescriptor } from '../testing/mock-driver.ts';
import { SECTOR_SIZE } from './config-space.ts';
import { BlockDevice } from './device.ts';

const DISK_SECTORS = 16;
const GUARD = 4096;
const GUARD_BYTE = 0xe7;

/** RAM between two guards, in one buffer: a write outside it shows. */
function guardedMemory(length: number) {
  const all = new Uint8Array(length + 2 * GUARD).fill(GUARD_BYTE);
  const memory = new GuestMemory([
    { guestAddress: guestAddress(0), bytes: all.subarray(GUARD, GUARD + length).fill(0) },
  ]);
  const isIntact = () =>
    [all.subarray(0, GUARD), all.subarray(GUARD + length)].every((guard) => guard.every((byte) => byte === GUARD_BYTE));
  return { memory, isIntact };
}

const part: fc.Arbitrary<BufferPart> = fc.oneof(
  fc.constantFrom(1, 15, 16, 20, 512, 600).map((write) => ({ write })),
  fc
    .oneof(
      fc.constantFrom(1, 15, 16, 32, 512).map((length) => new Uint8Array(length)),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    )
    .map((read) => ({ read })),
);
/** Readable parts first, as in every chain that the ring lets through. */
const parts = fc
  .array(part, { maxLength: 4 })
  .map((list) => list.toSorted((a, b) => Number('write' in a) - Number('write' in b)));
const type = fc.oneof(fc.integer({ min: 0, max: 14 }), fc.integer({ min: 0, max: 0xffff_ffff }));
const sector = fc.oneof(fc.bigInt({ min: 0n, max: 20n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));

test('every request is answered, nothing is asked of the disk that it does not have, and memory outside RAM stays', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(type, sector, parts), { minLength: 1, maxLength: 8 }), async (requests) => {
      const disk = new MemoryDisk(DISK_SECTORS * SECTOR_SIZE);
      const { memory, isIntact } = guardedMemory(64 * 1024);
      const guest = new BlockGuest({ disk, memory, queueSize: 64 });
      for (const [kind, at, list] of requests) guest.submit(kind, at, ...list);

      expect(await guest.settle()).toHaveLength(requests.length);
      expect(guest.machine.failures).toEqual([]);
      expect(isIntact()).toBe(true);
      for (const [, offset = '0', length = '0'] of disk.log.map((entry) => entry.split(' '))) {
        expect(Number(offset) + Number(length)).toBeLessThanOrEqual(disk.size);
      }
    }),
    { numRuns: 2000 },
  );
});

test('arbitrary descriptors fail the device or are answered, and memory outside RAM stays', async () => {
  const descriptor = fc.record({
    address: fc.oneof(fc.integer({ min: 0, max: MIB }).map(BigInt), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    length: fc.oneof(fc.constantFrom(1, 16, 512, 513), fc.integer({ min: 0, max: 0xffff_ffff })),
    flags: fc.integer({ min: 0, max: 7 }),
    next: fc.integer({ min: 0, max: 9 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(descriptor, { minLength: 8, maxLength: 8 }),
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 12 }),
      fc.boolean(),
      async (table, heads, resets) => {
        const { memory, isIntact } = guardedMemory(64 * 1024);
        const guest = new BlockGuest({ disk: new MemoryDisk(DISK_SECTORS * SECTOR_SIZE), memory, queueSize: 8 });
        const queue = guest.machine.driver.queue(0);
        for (const [index, fields] of table.entries()) {
          writeDescriptor(memory, queue.descriptorTable + vring_desc.sizeof * index, fields);
        }
        for (const head of heads) queue.pushHead(head);
        queue.kick();
        if (resets) guest.machine.driver.reset();
        await guest.device.idle();
        guest.machine.runDeferred();
        await guest.device.idle();

        expect(['active', 'failed', 'inactive']).toContain(guest.machine.transport.state.kind);
        expect(isIntact()).toBe(true);
      },
    ),
    { numRuns: 2000 },
  );
});

/** Operations on different sectors, a few of which are in flight together. */
const operation = fc.record({
  kind: fc.constantFrom('read', 'write', 'zero'),
  sectors: fc.integer({ min: 1, max: 3 }),
  fill: fc.integer({ min: 1, max: 255 }),
  cut: fc.integer({ min: 1, max: 511 }),
});
const batch = fc.record({
  operations: fc.array(operation, { minLength: 1, maxLength: 5 }),
  order: fc.array(fc.nat(5), { minLength: 5, maxLength: 5 }),
});

test('whatever finishes first, the disk and what is read agree with a model', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(batch, { maxLength: 6 }), async (batches) => {
      const guest = new BlockGuest({ disk: new MemoryDisk(DISK_SECTORS * SECTOR_SIZE), queueSize: 64 });
      const model = new Uint8Array(guest.disk.size);
      for (const { operations, order } of batches) {
        guest.disk.isHeld = true;
        const expected = new Map<number, Uint8Array>();
        let at = 0;
        for (const { kind, sectors, fill, cut } of operations) {
          const range = model.subarray(at * SECTOR_SIZE, (at + sectors) * SECTOR_SIZE);
          if (kind === 'read') {
            const head = guest.submit(VIRTIO_BLK_T_IN, BigInt(at), { write: cut }, { write: range.length - cut });
            expected.set(head, Uint8Array.of(...range, VIRTIO_BLK_S_OK));
          } else if (kind === 'write') {
            range.forEach((_, index) => {
              range[index] = (fill + index) & 0xff;
            });
            const bytes = range.slice();
            const data = [{ read: bytes.subarray(0, cut) }, { read: bytes.subarray(cut) }];
            expected.set(guest.submit(VIRTIO_BLK_T_OUT, BigInt(at), ...data), Uint8Array.of(VIRTIO_BLK_S_OK));
          } else {
            range.fill(0);
            const head = guest.submit(VIRTIO_BLK_T_WRITE_ZEROES, 0n, requestRange(BigInt(at), sectors));
            expected.set(head, Uint8Array.of(VIRTIO_BLK_S_OK));
          }
          at += sectors;
        }
        for (const index of order) guest.disk.release(index);
        guest.disk.releaseAll();

        const used = await guest.settle();
        expect(new Map(used.map(({ head, bytes }) => [head, bytes]))).toEqual(expected);
        expect(guest.disk.bytes).toEqual(model);
      }
    }),
    { numRuns: 500 },
  );
});

test('a disk that moves at any time carries out each request once', async () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('write'), sector: fc.bigInt({ min: 0n, max: 15n }) }) },
    { weight: 2, arbitrary: fc.constant({ kind: 'finish-one' }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'move' }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'pause' }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const guest = new BlockGuest({ disk: new MemoryDisk(DISK_SECTORS * SECTOR_SIZE), queueSize: 128 });
      const { disk } = guest;
      disk.isHeld = true;
      let machine = guest.machine;
      const heads: number[] = [];
      const rest = async <T>(work: () => Promise<T>): Promise<T> => {
        const done = work();
        await Promise.resolve();
        disk.releaseAll();
        const result = await done;
        disk.isHeld = true;
        return result;
      };
      for (const [index, one] of steps.entries()) {
        if ('sector' in one) {
          heads.push(guest.submit(VIRTIO_BLK_T_OUT, one.sector, { read: new Uint8Array(512).fill(index) }));
        } else if (one.kind === 'finish-one') disk.release();
        else if (one.kind === 'move') {
          const from = machine;
          machine = await rest(() => from.moveTo(new BlockDevice({ name: 'disk0', backend: disk })));
          machine.transport.resume();
        } else {
          await rest(() => machine.transport.quiesce());
          machine.transport.resume();
        }
      }
      disk.releaseAll();

      const used = await guest.settle();
      expect(used.map(({ head }) => head).toSorted((a, b) => a - b)).toEqual(heads.toSorted((a, b) => a - b));
      expect(disk.log).toHaveLength(heads.length);
      expect(machine.failures).toEqual([]);
    }),
    { numRuns: 500 },
  );
});
