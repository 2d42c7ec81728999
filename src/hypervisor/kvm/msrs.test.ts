import { describe, expect, test } from 'vitest';
import { MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_WALL_CLOCK_NEW } from './abi.gen.ts';
import { IA32_TSC, IA32_TSC_DEADLINE, msrsToSave, readMsrs, writeMsrs } from './msrs.ts';
import type { Msr } from './registers.ts';

const IA32_MTRR_DEF_TYPE = 0x2ff;
const IA32_PAT = 0x277;

/** A KVM that has all registers but some, with their index as their value. */
function kvmWithout(missing: readonly number[]): {
  get: (msrs: readonly Msr[]) => readonly Msr[];
  set: (msrs: readonly Msr[]) => number;
  readonly written: number[];
  readonly calls: number[];
} {
  const written: number[] = [];
  const calls: number[] = [];
  const countKnown = (msrs: readonly Msr[]): number => {
    calls.push(msrs.length);
    const stop = msrs.findIndex(({ index }) => missing.includes(index));
    return stop === -1 ? msrs.length : stop;
  };
  return {
    written,
    calls,
    get: (msrs) => msrs.slice(0, countKnown(msrs)).map(({ index }) => ({ index, value: BigInt(index) })),
    set: (msrs) => {
      const count = countKnown(msrs);
      written.push(...msrs.slice(0, count).map(({ index }) => index));
      return count;
    },
  };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

describe('the registers to save', () => {
  test('start with the time stamp counter and end with the deadline that is compared with it', () => {
    const indices = msrsToSave([IA32_TSC_DEADLINE, IA32_PAT, IA32_TSC]);

    expect(indices[0]).toBe(IA32_TSC);
    expect(indices.at(-1)).toBe(IA32_TSC_DEADLINE);
    expect(new Set(indices).size).toBe(indices.length);
  });

  test('have what KVM does not list, and the guest clock', () => {
    const indices = msrsToSave([MSR_KVM_SYSTEM_TIME_NEW]);

    expect(indices).toContain(IA32_MTRR_DEF_TYPE);
    expect(indices).toContain(MSR_KVM_SYSTEM_TIME_NEW);
  });

  test('leave out what would write to guest memory or switch an interface on', () => {
    const indices = msrsToSave([MSR_KVM_WALL_CLOCK_NEW, 0x4000_0000, 0x4000_0105, 0x4000_0200]);

    expect(indices).not.toContain(MSR_KVM_WALL_CLOCK_NEW);
    expect(indices.filter((index) => index >= 0x4000_0000 && index < 0x4b56_4d00)).toEqual([0x4000_0200]);
  });
});

describe('reading', () => {
  test('goes on behind registers that the guest does not have, few at a time', () => {
    const kvm = kvmWithout([0, 100, 101, 299]);

    const read = readMsrs(range(300), kvm.get);

    expect(read.map(({ index }) => index)).toEqual(range(300).filter((index) => ![0, 100, 101, 299].includes(index)));
    expect(Math.max(...kvm.calls)).toBeLessThan(256);
  });
});

describe('writing', () => {
  const values = (nonZero: readonly number[]): Msr[] =>
    range(300).map((index) => ({ index, value: nonZero.includes(index) ? 1n : 0n }));

  test('keeps the order and passes over zeros for registers that the host does not have', () => {
    const kvm = kvmWithout([5, 130]);

    expect(writeMsrs(values([6]), kvm.set)).toBeUndefined();
    expect(kvm.written).toEqual(range(300).filter((index) => index !== 5 && index !== 130));
  });

  test('stops at a value that is refused, and tells it', () => {
    const kvm = kvmWithout([200]);

    expect(writeMsrs(values([200]), kvm.set)).toEqual({ index: 200, value: 1n });
    expect(kvm.written).toEqual(range(200));
  });
});
