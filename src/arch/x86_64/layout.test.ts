import { describe, expect, test } from 'vitest';
import { GIB, MIB } from '../../lib/units.ts';
import {
  growthRegion,
  IO_APIC_ADDRESS,
  LEGACY_GSI,
  MEMORY_SIZE_MAX,
  MMIO_HOLE_START,
  memoryMap,
  ramRegions,
  VIRTIO_MMIO_GSIS,
  VIRTIO_MMIO_SLOT_COUNT,
  virtioMmioSlot,
} from './layout.ts';

/** As `first-last type`, the way Linux prints it. */
function printed(memorySize: number): string[] {
  const address = (value: number): string => value.toString(16).padStart(10, '0');
  return memoryMap(memorySize).map(
    (entry) => `${address(entry.address)}-${address(entry.address + entry.size - 1)} ${entry.type}`,
  );
}

describe('memoryMap', () => {
  test('64 MiB', () => {
    expect(printed(64 * MIB)).toEqual([
      '0000000000-000009ffff 1',
      '00000e0000-00000fffff 2',
      '0000100000-0003ffffff 1',
    ]);
  });

  test('3 GiB: exactly up to the MMIO hole', () => {
    expect(printed(3 * GIB)).toEqual(['0000000000-000009ffff 1', '00000e0000-00000fffff 2', '0000100000-00bfffffff 1']);
  });

  test('5 GiB: two of them above 4 GiB', () => {
    expect(printed(5 * GIB)).toEqual([
      '0000000000-000009ffff 1',
      '00000e0000-00000fffff 2',
      '0000100000-00bfffffff 1',
      '0100000000-017fffffff 1',
    ]);
  });

  test('64 GiB', () => {
    expect(printed(64 * GIB)).toEqual([
      '0000000000-000009ffff 1',
      '00000e0000-00000fffff 2',
      '0000100000-00bfffffff 1',
      '0100000000-103fffffff 1',
    ]);
  });

  test('1 TiB, the largest', () => {
    expect(printed(MEMORY_SIZE_MAX)).toEqual([
      '0000000000-000009ffff 1',
      '00000e0000-00000fffff 2',
      '0000100000-00bfffffff 1',
      '0100000000-1003fffffff 1',
    ]);
  });
});

describe('ramRegions', () => {
  test.each([32 * MIB, 3 * GIB, 3 * GIB + 4096, 5 * GIB, 1024 * GIB])('add up to %d bytes outside the hole', (size) => {
    const regions = ramRegions(size);

    expect(regions.reduce((sum, region) => sum + region.size, 0)).toBe(size);
    expect(regions[0]?.size).toBeLessThanOrEqual(MMIO_HOLE_START);
    expect(regions.slice(1).every((region) => region.address === 4 * GIB)).toBe(true);
  });

  test.each([0, 31 * MIB, 32 * MIB + 1, 1025 * GIB, Number.NaN])('refuses %d bytes', (size) => {
    expect(() => ramRegions(size)).toThrow(/give a multiple of 4096 from 32 MiB to 1024 GiB/);
  });
});

describe('growthRegion', () => {
  test.each([
    [128 * MIB, 64 * MIB, 4 * GIB, 2 * GIB, 2 * MIB],
    [128 * MIB, 3 * GIB, 4 * GIB, 4 * GIB, 4 * MIB],
    [4 * GIB, 16 * GIB, 6 * GIB, 16 * GIB, 16 * MIB],
    [64 * GIB, 5 * GIB, 66 * GIB, 6 * GIB, 8 * MIB],
    [32 * MIB, 1024 * GIB - 32 * MIB, 4 * GIB, 1024 * GIB, GIB],
  ])('is behind %d bytes of RAM, for %d more', (memorySize, growth, address, size, blockSize) => {
    expect(growthRegion(memorySize, growth)).toEqual({ address, size, blockSize });
  });
});

describe('virtioMmioSlot', () => {
  test('gives each device a page and an interrupt of its own, clear of the others', () => {
    const slots = Array.from({ length: VIRTIO_MMIO_SLOT_COUNT }, (_, index) => virtioMmioSlot(index));

    expect(slots.length).toBeGreaterThanOrEqual(16);
    expect(new Set(slots.map((slot) => slot.address)).size).toBe(slots.length);
    expect(new Set(slots.map((slot) => slot.gsi)).size).toBe(slots.length);
    expect(slots.every((slot) => slot.address >= MMIO_HOLE_START && slot.address < IO_APIC_ADDRESS)).toBe(true);
    expect(VIRTIO_MMIO_GSIS.filter((gsi) => Object.values<number>(LEGACY_GSI).includes(gsi))).toEqual([]);
  });

  test('says how many there are when asked for more', () => {
    expect(() => virtioMmioSlot(VIRTIO_MMIO_SLOT_COUNT)).toThrow(/has interrupts for 17; remove devices/);
  });
});
