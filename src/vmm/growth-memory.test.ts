import { fstatSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { growthRegion } from '../arch/x86_64/layout.ts';
import { allocateHostMemory } from '../hypervisor/kvm/host-memory.ts';
import type { HostMemory, VirtualMachine } from '../hypervisor/ports.ts';
import { GIB, MIB } from '../lib/units.ts';
import { GrowthMemory, slotsNeeded } from './growth-memory.ts';

const REGION = growthRegion(128 * MIB, 64 * MIB);
const { blockSize } = REGION;

/** A VM that remembers which slot is where: its guest address, and its offset in the mapping. */
function slotsOf(host: HostMemory) {
  const slots = new Map<number, { address: number; offset: number; size: number }>();
  const machine: Pick<VirtualMachine, 'setMemorySlot' | 'removeMemorySlot'> = {
    setMemorySlot: (slot, address, { bytes, hostAddress }) =>
      void slots.set(slot, { address, offset: Number(hostAddress - host.hostAddress), size: bytes.length }),
    removeMemorySlot: (slot) => void slots.delete(slot),
  };
  return { slots, growth: new GrowthMemory(machine, REGION, host) };
}

const allocate = () => allocateHostMemory(REGION.size, { shared: true, name: 'growth' });
/** Bytes that the memfd takes of the host's memory. */
const taken = ({ fd }: HostMemory): number => fstatSync(fd ?? -1).blocks * 512;

describe('memory that is plugged', () => {
  test('is in a slot of its own, block by block', () => {
    using host = allocate();
    const { slots, growth } = slotsOf(host);
    growth.plug(0);
    growth.plug(3);

    expect([...slots.values()]).toEqual([
      { address: 4 * GIB, offset: 0, size: blockSize },
      { address: 4 * GIB + 3 * blockSize, offset: 3 * blockSize, size: blockSize },
    ]);
    expect(Math.max(...slots.keys())).toBeLessThan(slotsNeeded(REGION));
  });

  test('is said to be in use once, before its first block is plugged', () => {
    using host = allocate();
    const { slots, growth } = slotsOf(host);
    const seen: number[] = [];
    growth.onFirstPlug(() => seen.push(slots.size));
    growth.plug(0);
    growth.plug(1);

    expect(seen).toEqual([0]);
  });

  test('costs what is touched of it, and nothing when it is unplugged', () => {
    using host = allocate();
    const { slots, growth } = slotsOf(host);
    growth.plug(1);
    growth.plug(2);
    host.bytes.fill(7, blockSize, 3 * blockSize);
    const before = taken(host);
    growth.unplug(1);

    expect([before, taken(host)]).toEqual([2 * blockSize, blockSize]);
    expect([...slots.values()].map(({ offset }) => offset)).toEqual([2 * blockSize]);
    expect([host.bytes[blockSize], host.bytes[2 * blockSize]]).toEqual([0, 7]);
  });

  test('that the host cannot take back stays plugged', () => {
    using host = allocate();
    const { slots, growth } = slotsOf(host);
    vi.spyOn(host, 'discard').mockImplementation(() => {
      throw new Error('the host keeps its pages');
    });
    growth.plug(5);

    expect(() => growth.unplug(5)).toThrow('the host keeps its pages');
    expect([...slots.values()]).toEqual([{ address: 4 * GIB + 5 * blockSize, offset: 5 * blockSize, size: blockSize }]);
  });
});
