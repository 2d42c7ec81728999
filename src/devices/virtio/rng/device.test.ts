import { describe, expect, test } from 'vitest';
import { KIB } from '../../../lib/units.ts';
import { type BufferPart, MockMachine } from '../testing/mock-driver.ts';
import { EntropyDevice, MAX_BYTES_PER_BUFFER } from './device.ts';

function started(fill: (bytes: Uint8Array) => void = (bytes) => void bytes.fill(0x5a)) {
  const machine = new MockMachine(new EntropyDevice({ fill }));
  machine.driver.start();
  return { machine, queue: machine.driver.queue(0) };
}

describe('the entropy device', () => {
  test('fills a buffer of several parts and interrupts', () => {
    const { machine, queue } = started();
    queue.push({ write: 20 }, { write: 12 });
    queue.kick();

    expect(queue.takeUsed()[0]?.bytes).toEqual(new Uint8Array(32).fill(0x5a));
    expect(machine.interrupts).toBe(1);
  });

  test('gives a large buffer its first 64 KiB', () => {
    const { queue } = started();
    queue.push({ write: 100 * KIB });
    queue.kick();
    const [used] = queue.takeUsed();

    expect(used?.written).toBe(MAX_BYTES_PER_BUFFER);
    expect(used?.room.subarray(MAX_BYTES_PER_BUFFER)).toEqual(new Uint8Array(36 * KIB));
  });

  test('lets others have their turn after 256 KiB, however often the bell rings', () => {
    const { machine, queue } = started();
    for (let count = 0; count < 10; count++) queue.push({ write: 64 * KIB });
    queue.kick();
    queue.kick();

    const perTurn = [queue.takeUsed().length];
    while (machine.runDeferred() > 0) perTurn.push(queue.takeUsed().length);
    expect(perTurn).toEqual([4, 4, 2]);
  });

  test('does no work that it put off before a reset', () => {
    let filled = 0;
    const { machine, queue } = started((bytes) => {
      filled += bytes.length;
    });
    for (let count = 0; count < 10; count++) queue.push({ write: 64 * KIB });
    queue.kick();
    machine.driver.reset();
    machine.runDeferred();

    expect(filled).toBe(256 * KIB);
  });

  test.each<readonly [string, readonly BufferPart[]]>([
    ['nothing to write to', [{ read: new Uint8Array(8) }]],
    ['something to read', [{ read: new Uint8Array(8) }, { write: 8 }]],
  ])('fails on a buffer with %s', (_, parts) => {
    const { machine, queue } = started();
    queue.push(...parts);
    queue.kick();

    expect(machine.transport.state.kind).toBe('failed');
  });

  test('fails when there is no entropy', () => {
    const { machine, queue } = started(() => {
      throw new Error('no entropy');
    });
    queue.push({ write: 8 });
    queue.kick();

    expect(machine.failures).toEqual([new Error('no entropy')]);
  });
});

test('a moved device fills what waits, and counts it', async () => {
  const { machine, queue } = started();
  queue.push({ write: 20 });
  queue.kick();
  queue.push({ write: 30 });
  const device = new EntropyDevice({ fill: (bytes) => void bytes.fill(0x5a) });
  const moved = await machine.moveTo(device);
  moved.transport.resume();

  expect(queue.takeUsed().map(({ written }) => written)).toEqual([20, 30]);
  expect(device.metrics()).toEqual({ requests: 1, bytes: 30 });
});
