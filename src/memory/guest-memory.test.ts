import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { guestAddress } from '../lib/brand.ts';
import { GuestMemory, GuestMemoryError } from './guest-memory.ts';

const LOW_SIZE = 0x1000;
const HIGH_START = 0x1_0000_0000;
const HIGH_SIZE = 0x2000;

/** Two regions with a hole, given in the wrong order. */
function makeMemory(): GuestMemory {
  return new GuestMemory([
    { guestAddress: guestAddress(HIGH_START), bytes: new Uint8Array(HIGH_SIZE) },
    { guestAddress: guestAddress(0), bytes: new Uint8Array(LOW_SIZE) },
  ]);
}

describe('GuestMemory', () => {
  test('knows how much RAM there is and where it ends', () => {
    const memory = makeMemory();

    expect([memory.size, memory.end]).toEqual([LOW_SIZE + HIGH_SIZE, HIGH_START + HIGH_SIZE]);
  });

  test('without regions there is none', () => {
    const memory = new GuestMemory([]);

    expect([memory.size, memory.end, memory.contains(0, 1)]).toEqual([0, 0, false]);
  });

  test('tells the address of its bytes, and of no others', () => {
    const memory = makeMemory();

    expect(memory.addressOf(memory.slice(HIGH_START + 16, 8))).toBe(HIGH_START + 16);
    expect(memory.addressOf(memory.slice(LOW_SIZE - 1, 1))).toBe(LOW_SIZE - 1);
    expect(() => memory.addressOf(new Uint8Array(8))).toThrow(RangeError);
  });

  test('reads and writes integers little-endian, in every region', () => {
    const memory = makeMemory();
    for (const start of [0, HIGH_START]) {
      memory.writeU8(start, 0x11);
      memory.writeU16(start + 1, 0x3322);
      memory.writeU32(start + 3, 0x7766_5544);
      memory.writeU64(start + 7, 0xffee_ddcc_bbaa_9988n);
    }

    expect(memory.copy(HIGH_START, 15)).toEqual(
      Uint8Array.of(0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff),
    );
    expect([memory.readU8(0), memory.readU16(1), memory.readU32(3), memory.readU64(7)]).toEqual([
      0x11,
      0x3322,
      0x7766_5544,
      0xffee_ddcc_bbaa_9988n,
    ]);
  });

  test('a slice is the memory itself, a copy is not', () => {
    const memory = makeMemory();
    const slice = memory.slice(8, 1);
    const copy = memory.copy(8, 1);

    memory.writeU8(8, 1);

    expect([slice[0], copy[0]]).toEqual([1, 0]);
  });

  test('keeps to its part of a larger buffer', () => {
    const buffer = new Uint8Array(0x3000);
    const memory = new GuestMemory([{ guestAddress: guestAddress(0), bytes: buffer.subarray(0x1000, 0x2000) }]);

    memory.writeU32(0xffc, 0xffff_ffff);

    expect(() => memory.writeU32(0xffd, 0)).toThrow(GuestMemoryError);
    expect([buffer[0x1fff], buffer[0x2000]]).toEqual([0xff, 0]);
  });

  test.each<[string, number, number]>([
    ['over the end of a region', LOW_SIZE - 1, 2],
    ['in the hole', LOW_SIZE, 1],
    ['before the first byte', -1, 1],
    ['behind the last byte', HIGH_START + HIGH_SIZE, 1],
    ['across the hole', 0, HIGH_START + 1],
    ['of a negative length', 8, -1],
    ['at no number', Number.NaN, 1],
    ['of no length', 0, Number.NaN],
  ])('refuses an access %s', (_, address, length) => {
    expect(() => makeMemory().slice(address, length)).toThrow(GuestMemoryError);
    expect(makeMemory().contains(address, length)).toBe(false);
  });

  test('an empty slice at the end of a region is allowed', () => {
    expect(makeMemory().slice(LOW_SIZE, 0).length).toBe(0);
  });

  test('of a region that is RAM in parts, only those can be accessed', () => {
    const memory = new GuestMemory([
      {
        guestAddress: guestAddress(HIGH_START),
        bytes: new Uint8Array(HIGH_SIZE),
        isRam: (offset, length) => offset >= 0x100 && offset + length <= 0x200,
      },
    ]);
    memory.writeU32(HIGH_START + 0x1fc, 7);

    expect(memory.slice(HIGH_START + 0x100, 0x100).length).toBe(0x100);
    expect(memory.contains(HIGH_START + 0xff, 2)).toBe(false);
    expect(() => memory.readU32(HIGH_START + 0x1fd)).toThrow(GuestMemoryError);
    expect(() => memory.write(HIGH_START, Uint8Array.of(1))).toThrow(GuestMemoryError);
  });

  test('a region that is added later is RAM from then on, in its place', () => {
    const memory = makeMemory();
    const start = HIGH_START - 0x1000;
    const before = memory.contains(start, 8);
    memory.add({ guestAddress: guestAddress(start), bytes: new Uint8Array(0x800) });
    memory.writeU32(start + 4, 7);

    expect([before, memory.contains(start, 8), memory.readU32(start + 4)]).toEqual([false, true, 7]);
    expect([memory.size, memory.end]).toEqual([LOW_SIZE + HIGH_SIZE + 0x800, HIGH_START + HIGH_SIZE]);
  });

  test('the error has address and length', () => {
    expect(() => makeMemory().readU64(0xffc)).toThrow('guest memory access of 8 bytes at 0xffc is not inside RAM');
  });

  test('what was written is read, and nothing else changes (property)', () => {
    const address = fc.nat(LOW_SIZE - 64);
    fc.assert(
      fc.property(address, fc.uint8Array({ maxLength: 64 }), (at, bytes) => {
        const memory = makeMemory();
        memory.write(at, bytes);
        expect(memory.copy(at, bytes.length)).toEqual(bytes);
        const rest = [...memory.slice(0, at), ...memory.slice(at + bytes.length, LOW_SIZE - at - bytes.length)];
        expect(rest.every((byte) => byte === 0)).toBe(true);
      }),
    );
  });
});
