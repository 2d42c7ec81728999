import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AddressBus, type BusDevice } from './address-bus.ts';
import { byteRegisterDevice } from './byte-registers.ts';

interface Recorded {
  readonly kind: 'read' | 'write';
  readonly offset: number;
  readonly bytes: number[];
}

/** Answers reads with its offset, and remembers what it was asked. */
function recordingDevice(): BusDevice & { readonly accesses: Recorded[] } {
  const accesses: Recorded[] = [];
  return {
    accesses,
    read(offset, data) {
      data.fill(offset);
      accesses.push({ kind: 'read', offset, bytes: [...data] });
    },
    write(offset, data) {
      accesses.push({ kind: 'write', offset, bytes: [...data] });
    },
  };
}

describe('AddressBus', () => {
  test('takes an access to the device that has the address, with its offset there', () => {
    const bus = new AddressBus('pio');
    const serial = recordingDevice();
    bus.register('cmos', { base: 0x70, length: 2 }, recordingDevice());
    bus.register('serial', { base: 0x3f8, length: 8 }, serial);
    const data = new Uint8Array(1);

    bus.read(0x3fd, data);
    bus.write(0x3f8, Uint8Array.of(0x41));

    expect(data).toEqual(Uint8Array.of(5));
    expect(serial.accesses).toEqual([
      { kind: 'read', offset: 5, bytes: [5] },
      { kind: 'write', offset: 0, bytes: [0x41] },
    ]);
  });

  test('answers what nobody claims with all ones, drops writes there, and counts both', () => {
    const bus = new AddressBus('pio');
    const data = new Uint8Array(4);

    bus.read(0xcf8, data);
    bus.write(0x80, Uint8Array.of(1));

    expect(data).toEqual(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
    expect([bus.unclaimedReads, bus.unclaimedWrites]).toEqual([1, 1]);
  });

  test('gives an access that leaves the range of its device to nobody', () => {
    const bus = new AddressBus('mmio');
    const device = recordingDevice();
    bus.register('page', { base: 0x1000, length: 0x1000 }, device);
    const data = new Uint8Array(8);

    bus.read(0x1ffc, data);

    expect(data).toEqual(new Uint8Array(8).fill(0xff));
    expect(device.accesses).toEqual([]);
  });

  test('takes string I/O apart into accesses to one port', () => {
    const bus = new AddressBus('pio');
    const device = recordingDevice();
    bus.register('serial', { base: 0x3f8, length: 8 }, device);

    bus.write(0x3f8, Uint8Array.of(1, 2, 3), 1);

    expect(device.accesses.map(({ offset, bytes }) => [offset, ...bytes])).toEqual([
      [0, 1],
      [0, 2],
      [0, 3],
    ]);
  });

  test('counts each element of unclaimed string I/O', () => {
    const bus = new AddressBus('pio');

    bus.read(0x80, new Uint8Array(6), 2);

    expect(bus.unclaimedReads).toBe(3);
  });

  test('refuses a range that another device has part of, and says whose', () => {
    const bus = new AddressBus('pio');
    bus.register('serial', { base: 0x3f8, length: 8 }, recordingDevice());

    expect(() => bus.register('other', { base: 0x3ff, length: 1 }, recordingDevice())).toThrow(
      'pio bus: other at 0x3ff (1 addresses) overlaps serial at 0x3f8 (8)',
    );
  });

  test.each([
    { base: 0, length: 0 },
    { base: -1, length: 1 },
    { base: 0.5, length: 1 },
    { base: Number.MAX_SAFE_INTEGER, length: 2 },
  ])('refuses the range %j', (range) => {
    expect(() => new AddressBus('pio').register('device', range, recordingDevice())).toThrow(RangeError);
  });

  test('forgets a device that was taken off, the one of the last access too', () => {
    const bus = new AddressBus('pio');
    const registration = bus.register('serial', { base: 0x3f8, length: 8 }, recordingDevice());
    bus.read(0x3f8, new Uint8Array(1));

    registration[Symbol.dispose]();
    const data = new Uint8Array(1);
    bus.read(0x3f8, data);

    expect(data).toEqual(Uint8Array.of(0xff));
    expect(bus.unclaimedReads).toBe(1);
  });

  test('finds the same device as a search through all of them (property)', () => {
    const slots = fc.uniqueArray(fc.nat(63), { minLength: 1 });
    fc.assert(
      fc.property(slots, fc.array(fc.nat(64 * 16)), (taken, addresses) => {
        const bus = new AddressBus('mmio');
        const answer = (slot: number): BusDevice => ({ read: (_, data) => data.fill(slot), write: () => {} });
        for (const slot of taken) bus.register(`slot ${slot}`, { base: slot * 16, length: 8 }, answer(slot));
        for (const address of addresses) {
          const data = new Uint8Array(1);
          bus.read(address, data);
          const slot = Math.floor(address / 16);
          expect(data[0]).toBe(taken.includes(slot) && address % 16 < 8 ? slot : 0xff);
        }
      }),
    );
  });
});

describe('byteRegisterDevice', () => {
  test('splits wide accesses into consecutive registers, lowest first', () => {
    const written: number[][] = [];
    const device = byteRegisterDevice({
      readRegister: (offset) => 0x10 + offset,
      writeRegister: (offset, value) => written.push([offset, value]),
    });
    const data = new Uint8Array(2);

    device.read(4, data);
    device.write(0, Uint8Array.of(0xaa, 0xbb));

    expect(data).toEqual(Uint8Array.of(0x14, 0x15));
    expect(written).toEqual([
      [0, 0xaa],
      [1, 0xbb],
    ]);
  });
});
