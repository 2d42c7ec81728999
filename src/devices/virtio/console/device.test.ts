import { describe, expect, test } from 'vitest';
import {
  VIRTIO_CONSOLE_F_SIZE,
  VIRTIO_MMIO_CONFIG,
  VIRTIO_MMIO_INT_CONFIG,
  VIRTIO_MMIO_INTERRUPT_ACK,
  VIRTIO_MMIO_INTERRUPT_STATUS,
  virtio_console_config,
} from '../abi.gen.ts';
import { ConsoleGuest } from '../testing/console-guest.ts';
import { CONSOLE_QUEUE, MAX_PENDING_INPUT, OUTPUT_PIECE } from './device.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

/** Columns and rows as the driver reads them. */
function sizeOf(guest: ConsoleGuest): readonly [number, number] {
  const space = guest.machine.transport.read(VIRTIO_MMIO_CONFIG, virtio_console_config.sizeof);
  const view = new DataView(space.buffer, space.byteOffset, space.length);
  return [view.getUint16(virtio_console_config.cols, true), view.getUint16(virtio_console_config.rows, true)];
}

function isConfigurationChangeSignalled({ machine: { driver } }: ConsoleGuest): boolean {
  const isSet = (driver.readRegister(VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG) !== 0;
  driver.writeRegister(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
  return isSet;
}

describe('output', () => {
  test('is passed on, and the buffer comes back with an interrupt', () => {
    const guest = new ConsoleGuest();
    guest.write('hello ', 'world');
    expect(guest.host.text).toBe('hello world');
    expect(
      guest.machine.driver
        .queue(CONSOLE_QUEUE.transmit)
        .takeUsed()
        .map(({ written }) => written),
    ).toEqual([0]);
    expect(guest.machine.interrupts).toBe(1);
  });

  test('of any length is passed on in pieces, with turns for others between', () => {
    const guest = new ConsoleGuest();
    const text = 'x'.repeat(20 * OUTPUT_PIECE + 1);
    guest.write(text);
    expect(guest.host.text.length).toBe(16 * OUTPUT_PIECE);
    guest.machine.runDeferred();
    expect(guest.host.text).toBe(text);
    expect(guest.host.pieces.every(({ length }) => length <= OUTPUT_PIECE)).toBe(true);
  });

  test('waits in the guest while the host cannot take more', async () => {
    const guest = new ConsoleGuest();
    guest.host.isSlow = true;
    guest.write('one');
    guest.write('two');
    guest.write('three');
    expect(guest.host.text).toBe('one');
    await guest.host.take();
    expect(guest.host.text).toBe('onetwo');
    guest.host.isSlow = false;
    await guest.host.take();
    expect(guest.host.text).toBe('onetwothree');
  });

  test('that the host takes after a reset goes on with the new driver', async () => {
    const guest = new ConsoleGuest();
    guest.host.isSlow = true;
    guest.write('one');
    guest.machine.driver.start();
    await guest.host.take();
    guest.write('two');
    expect(guest.host.text).toBe('onetwo');
  });

  test('of nothing fails the device', () => {
    const guest = new ConsoleGuest();
    guest.machine.driver.queue(CONSOLE_QUEUE.transmit).push({ write: 4 });
    guest.machine.driver.queue(CONSOLE_QUEUE.transmit).kick();
    expect(guest.machine.transport.state.kind).toBe('failed');
  });
});

describe('input', () => {
  test('fills the buffers that there are, over their parts, and interrupts once', () => {
    const guest = new ConsoleGuest();
    guest.offer(3, 2);
    guest.device.input(bytes('abcdef'));
    expect(guest.read()).toEqual(['abcde']);
    expect(guest.machine.interrupts).toBe(1);
    guest.offer(8);
    expect(guest.read()).toEqual(['f']);
  });

  test('waits for a driver', () => {
    const guest = new ConsoleGuest({ isStarted: false });
    guest.device.input(bytes('early'));
    guest.machine.driver.start();
    guest.offer(8);
    expect(guest.read()).toEqual(['early']);
  });

  test('rings for buffers only while it waits for some', () => {
    const guest = new ConsoleGuest();
    guest.offer(8);
    const queue = guest.machine.driver.queue(CONSOLE_QUEUE.receive);
    queue.push({ write: 8 });
    expect(queue.wantsKick()).toBe(false);
    guest.device.input(bytes('0123456789abcdefX'));
    queue.push({ write: 8 });
    expect(queue.wantsKick()).toBe(true);
  });

  test('asks to wait beyond a bound, until the guest has read', async () => {
    const guest = new ConsoleGuest();
    expect(guest.device.input(new Uint8Array(MAX_PENDING_INPUT))).toBeUndefined();
    let mayGoOn = false;
    const wait = guest.device.input(bytes('x'))?.then(() => {
      mayGoOn = true;
    });
    await Promise.resolve();
    expect(mayGoOn).toBe(false);
    guest.offer(8);
    await wait;
    expect(mayGoOn).toBe(true);
  });

  test('of nothing is nothing', () => {
    const guest = new ConsoleGuest();
    guest.offer(8);
    expect(guest.device.input(new Uint8Array())).toBeUndefined();
    expect(guest.read()).toEqual([]);
  });

  test('into a buffer without room fails the device', () => {
    const guest = new ConsoleGuest();
    guest.device.input(bytes('x'));
    guest.machine.driver.queue(CONSOLE_QUEUE.receive).push({ read: Uint8Array.of(1) });
    guest.machine.driver.queue(CONSOLE_QUEUE.receive).kick();
    expect(guest.machine.transport.state.kind).toBe('failed');
  });

  test('for more small buffers than a turn has takes more turns', () => {
    const guest = new ConsoleGuest();
    const queue = guest.machine.driver.queue(CONSOLE_QUEUE.receive);
    for (let index = 0; index < queue.size; index++) queue.push({ write: 1 });
    guest.device.input(bytes('y'.repeat(queue.size + 1)));
    for (const _ of queue.takeUsed()) queue.push({ write: 1 });
    expect(queue.takeUsed()).toHaveLength(0);
    guest.machine.runDeferred();
    expect(queue.takeUsed()).toHaveLength(1);
  });
});

describe('the size', () => {
  test('is read from the configuration space, and changes are told', () => {
    const guest = new ConsoleGuest({ size: { columns: 80, rows: 25 } });
    expect(sizeOf(guest)).toEqual([80, 25]);
    guest.device.resize(132, 50);
    expect(sizeOf(guest)).toEqual([132, 50]);
    expect(isConfigurationChangeSignalled(guest)).toBe(true);
  });

  test('is told again some time after the driver has offered its buffers: Linux looks at it only then', () => {
    const guest = new ConsoleGuest({ size: { columns: 80, rows: 25 } });
    expect(isConfigurationChangeSignalled(guest)).toBe(false);
    guest.offer(8);
    expect(isConfigurationChangeSignalled(guest)).toBe(false);
    guest.timers.advance(100);
    expect(isConfigurationChangeSignalled(guest)).toBe(true);
  });

  test('is told so a few times only, and not at all when nobody knows it', () => {
    const told = [new ConsoleGuest({ size: { columns: 80, rows: 25 } }), new ConsoleGuest()].map((guest) =>
      Array.from({ length: 20 }, () => {
        guest.write('output');
        guest.timers.advance(100);
        return isConfigurationChangeSignalled(guest);
      }).filter(Boolean),
    );
    expect(told.map(({ length }) => length)).toEqual([10, 0]);
  });

  test('that changes before the driver is up is seen by it', () => {
    const guest = new ConsoleGuest({ isStarted: false });
    guest.device.resize(100, 30);
    guest.machine.driver.start();
    expect(sizeOf(guest)).toEqual([100, 30]);
  });

  test('that changes between FEATURES_OK and DRIVER_OK is told', () => {
    const guest = new ConsoleGuest({ isStarted: false });
    const { driver } = guest.machine;
    driver.agreeOnFeatures(driver.offeredFeatures());
    guest.device.resize(100, 30);
    driver.setUpQueue(0);
    driver.setUpQueue(1);
    driver.writeStatus(15);
    expect(sizeOf(guest)).toEqual([100, 30]);
    expect(isConfigurationChangeSignalled(guest)).toBe(true);
  });

  test('is not told to a driver that does not want it', () => {
    const guest = new ConsoleGuest({ refuse: [VIRTIO_CONSOLE_F_SIZE] });
    guest.device.resize(100, 30);
    expect(isConfigurationChangeSignalled(guest)).toBe(false);
  });

  test.each([
    [70_000, -1, [65_535, 0]],
    [Number.NaN, 2.5, [0, 2]],
  ])('of %d by %d is cut to what there can be', (columns, rows, expected) => {
    const guest = new ConsoleGuest();
    guest.device.resize(columns, rows);
    expect(sizeOf(guest)).toEqual(expected);
  });
});

describe('an emergency write', () => {
  const emergency = (guest: ConsoleGuest, character: string) =>
    guest.machine.transport.write(
      VIRTIO_MMIO_CONFIG + virtio_console_config.emerg_wr,
      Uint8Array.of(character.charCodeAt(0), 0, 0, 0),
    );

  test('comes out without a driver', () => {
    const guest = new ConsoleGuest({ isStarted: false });
    for (const character of 'oops') emergency(guest, character);
    expect(guest.host.text).toBe('oops');
    expect(guest.machine.transport.read(VIRTIO_MMIO_CONFIG + virtio_console_config.emerg_wr, 4)).toEqual(
      new Uint8Array(4),
    );
  });

  test('is lost while the host cannot take it', async () => {
    const guest = new ConsoleGuest();
    guest.host.isSlow = true;
    for (const character of 'ab') emergency(guest, character);
    guest.host.isSlow = false;
    await guest.host.take();
    emergency(guest, 'c');
    expect(guest.host.text).toBe('ac');
  });

  test('elsewhere in the configuration space has no effect', () => {
    const guest = new ConsoleGuest({ size: { columns: 80, rows: 25 } });
    guest.machine.transport.write(VIRTIO_MMIO_CONFIG, Uint8Array.of(1, 2, 3, 4));
    expect(sizeOf(guest)).toEqual([80, 25]);
    expect(guest.host.text).toBe('');
  });
});

describe('restored from a snapshot', () => {
  test('output that the host had taken in part is passed on from there', async () => {
    const guest = new ConsoleGuest();
    guest.host.isSlow = true;
    const text = `${'a'.repeat(OUTPUT_PIECE)}${'b'.repeat(OUTPUT_PIECE)}`;
    guest.write(text);
    guest.write('next');
    const before = guest.host.text;
    await guest.move();
    expect(guest.host.text).toBe('');
    guest.machine.transport.resume();
    expect(before + guest.host.text).toBe(`${text}next`);
    expect(guest.machine.driver.queue(CONSOLE_QUEUE.transmit).takeUsed()).toHaveLength(2);
  });

  test('a second snapshot before the device went on says the same', async () => {
    const guest = new ConsoleGuest();
    guest.host.isSlow = true;
    guest.write(`${'a'.repeat(OUTPUT_PIECE)}b`);
    await guest.move();
    await guest.move();
    guest.machine.transport.resume();
    expect(guest.host.text).toBe('b');
  });

  test('a terminal of another size is told, once', async () => {
    const guest = new ConsoleGuest({ size: { columns: 80, rows: 25 } });
    await guest.move({ columns: 100, rows: 30 });
    guest.machine.transport.resume();
    expect(sizeOf(guest)).toEqual([100, 30]);
    expect(isConfigurationChangeSignalled(guest)).toBe(true);
    guest.write('output');
    guest.timers.advance(1000);
    expect(isConfigurationChangeSignalled(guest)).toBe(false);
  });

  test.each([undefined, -1, 0.5, '1'])('a state with %j bytes out is refused', async (alreadyOut) => {
    const guest = new ConsoleGuest();
    await guest.machine.transport.quiesce();
    const snapshot = { ...guest.machine.transport.saveState(), device: { alreadyOut } };
    const other = new ConsoleGuest({ isStarted: false }).machine;
    expect(() => other.transport.restoreState(snapshot)).toThrow('how much of its output is out');
  });
});

test('a paused console passes nothing on, and goes on where it was', async () => {
  const guest = new ConsoleGuest();
  guest.host.isSlow = true;
  guest.write('one');
  guest.write('two');
  await guest.machine.transport.quiesce();
  guest.host.isSlow = false;
  await guest.host.take();
  guest.offer(8);
  guest.device.input(bytes('key'));
  expect([guest.host.text, guest.read()]).toEqual(['one', []]);
  guest.machine.transport.resume();
  expect([guest.host.text, guest.read()]).toEqual(['onetwo', ['key']]);
});

test('bytes are counted both ways', () => {
  const guest = new ConsoleGuest();
  guest.write('four');
  guest.offer(8);
  guest.device.input(bytes('abc'));
  expect(guest.device.metrics()).toEqual({ tx_bytes: 4, rx_bytes: 3 });
});
