import fc from 'fast-check';
import { expect, test } from 'vitest';
import { vring_desc } from '../abi.gen.ts';
import { ConsoleGuest } from '../testing/console-guest.ts';
import { concatenate, writeDescriptor } from '../testing/mock-driver.ts';
import { CONSOLE_QUEUE } from './device.ts';

const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '\n'), minLength: 1, maxLength: 40 });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('write' as const), text }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('type' as const), text }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('offer' as const), length: fc.integer({ min: 1, max: 50 }) }) },
  { weight: 3, arbitrary: fc.constantFrom({ kind: 'slow' as const }, { kind: 'take' as const }) },
  { weight: 2, arbitrary: fc.constantFrom({ kind: 'move' as const }, { kind: 'pause' as const }) },
);

test('output and input come through once and in order, however slow the host is and however often the device moves', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const guest = new ConsoleGuest();
      let written = '';
      let typed = '';
      let out = '';
      let read = '';
      const resume = () => guest.machine.transport.resume();
      for (const action of steps) {
        switch (action.kind) {
          case 'write':
            guest.write(action.text);
            written += action.text;
            break;
          case 'type':
            guest.device.input(new TextEncoder().encode(action.text));
            typed += action.text;
            break;
          case 'offer':
            guest.offer(action.length);
            break;
          case 'slow':
            guest.host.isSlow = true;
            break;
          case 'take':
            guest.host.isSlow = false;
            await guest.host.take();
            break;
          case 'pause':
            await guest.machine.transport.quiesce();
            resume();
            break;
          case 'move': {
            read += guest.read().join('');
            // What was typed and not read belongs to the terminal that is gone.
            typed = read;
            const before = guest.host;
            await guest.move();
            out += before.text;
            resume();
            break;
          }
        }
        guest.machine.driver.queue(CONSOLE_QUEUE.transmit).takeUsed();
      }
      guest.host.isSlow = false;
      await guest.host.take();
      for (let index = 0; index < 30; index++) guest.offer(100);
      guest.machine.runDeferred();
      expect(out + guest.host.text).toBe(written);
      expect(read + guest.read().join('')).toBe(typed);
      expect(guest.machine.failures).toEqual([]);
    }),
    { numRuns: 1000 },
  );
});

test('arbitrary descriptors fail the device, or are output and input', () => {
  const descriptor = fc.record({
    address: fc.oneof(fc.integer({ min: 0, max: 0x1f_ffff }).map(BigInt), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    length: fc.oneof(fc.integer({ min: 0, max: 600 }), fc.integer({ min: 0, max: 0xffff_ffff })),
    flags: fc.integer({ min: 0, max: 7 }),
    next: fc.integer({ min: 0, max: 9 }),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(CONSOLE_QUEUE.receive, CONSOLE_QUEUE.transmit),
      fc.array(descriptor, { minLength: 8, maxLength: 8 }),
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 12 }),
      (queueIndex, table, heads) => {
        const guest = new ConsoleGuest();
        const queue = guest.machine.driver.queue(queueIndex);
        guest.device.input(new Uint8Array(100));
        for (const [index, fields] of table.entries()) {
          writeDescriptor(guest.machine.memory, queue.descriptorTable + vring_desc.sizeof * index, fields);
        }
        for (const head of heads) queue.pushHead(head);
        queue.kick();
        guest.machine.runDeferred();
        expect(['active', 'failed']).toContain(guest.machine.transport.state.kind);
        expect(concatenate(guest.host.pieces).length).toBe(guest.device.metrics()['tx_bytes']);
      },
    ),
    { numRuns: 1000 },
  );
});
