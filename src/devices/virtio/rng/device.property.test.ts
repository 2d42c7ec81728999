import fc from 'fast-check';
import { expect, test } from 'vitest';
import { vring_desc } from '../abi.gen.ts';
import { MockMachine, writeDescriptor } from '../testing/mock-driver.ts';
import { EntropyDevice } from './device.ts';

const started = () => {
  const machine = new MockMachine(new EntropyDevice({ fill: (bytes) => void bytes.fill(0x5a) }), {
    memorySize: 64 * 1024,
  });
  machine.driver.start({ queueSize: 8 });
  return machine;
};

test('every buffer gets all of its bytes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 2 }), { maxLength: 4 }),
      (buffers) => {
        const machine = started();
        const queue = machine.driver.queue(0);
        for (const lengths of buffers) queue.push(...lengths.map((write) => ({ write })));
        queue.kick();
        const expected = buffers.map((lengths) =>
          new Uint8Array(lengths.reduce((sum, length) => sum + length, 0)).fill(0x5a),
        );

        expect(queue.takeUsed().map(({ bytes }) => bytes)).toEqual(expected);
      },
    ),
    { numRuns: 1000 },
  );
});

test('arbitrary descriptors fail the device or are filled', () => {
  const descriptor = fc.record({
    address: fc.oneof(
      fc.integer({ min: 0x2000, max: 0x1_0000 }).map(BigInt),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    ),
    length: fc.oneof(fc.integer({ min: 0, max: 600 }), fc.integer({ min: 0, max: 0xffff_ffff })),
    flags: fc.integer({ min: 0, max: 7 }),
    next: fc.integer({ min: 0, max: 9 }),
  });
  fc.assert(
    fc.property(
      fc.array(descriptor, { minLength: 8, maxLength: 8 }),
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 12 }),
      (table, heads) => {
        const machine = started();
        const queue = machine.driver.queue(0);
        for (const [index, fields] of table.entries()) {
          writeDescriptor(machine.memory, queue.descriptorTable + vring_desc.sizeof * index, fields);
        }
        for (const head of heads) queue.pushHead(head);
        queue.kick();
        machine.runDeferred();

        expect(['active', 'failed']).toContain(machine.transport.state.kind);
      },
    ),
    { numRuns: 2000 },
  );
});
