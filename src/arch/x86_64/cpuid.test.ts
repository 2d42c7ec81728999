import { describe, expect, test } from 'vitest';
import type { CpuidEntry } from '../../hypervisor/ports.ts';
import { guestCpuid, hasGigabytePages, processorSignature } from './cpuid.ts';

function leaf(number: number, registers: Partial<CpuidEntry> = {}): CpuidEntry {
  return { function: number, index: 0, flags: 0, eax: 0, ebx: 0, ecx: 0, edx: 0, ...registers };
}

const ALL_ONES = { eax: 0xffff_ffff, ebx: 0xffff_ffff, ecx: 0xffff_ffff, edx: 0xffff_ffff };
// "GenuineIntel" and "AuthenticAMD" as EBX, EDX, ECX.
const INTEL = leaf(0, { eax: 0x20, ebx: 0x756e_6547, edx: 0x4965_6e69, ecx: 0x6c65_746e });
const AMD = leaf(0, { eax: 0x10, ebx: 0x6874_7541, edx: 0x6974_6e65, ecx: 0x444d_4163 });

const ONE = { vcpuIndex: 0, vcpuCount: 1, hasTscDeadlineTimer: true };
const THIRD_OF_SIX = { vcpuIndex: 2, vcpuCount: 6, hasTscDeadlineTimer: true };

function find(entries: readonly CpuidEntry[], number: number, index = 0): CpuidEntry {
  const found = entries.find((entry) => entry.function === number && entry.index === index);
  if (found === undefined) throw new Error(`no leaf 0x${number.toString(16)}.${index}`);
  return found;
}

describe('leaf 1', () => {
  test('has the APIC identifier, the number of identifiers, and keeps the CLFLUSH size', () => {
    const { ebx } = find(guestCpuid([leaf(1, { ebx: 0x1710_0800 })], THIRD_OF_SIX), 1);

    expect(ebx).toBe(0x0208_0800);
  });

  test('names a hypervisor and x2APIC, and not MONITOR, VMX, debug store or PDCM', () => {
    const { ecx, edx } = find(guestCpuid([leaf(1, ALL_ONES)], ONE), 1);

    expect(ecx & (1 << 31)).not.toBe(0);
    expect(ecx & (1 << 21)).not.toBe(0);
    expect(ecx & ((1 << 3) | (1 << 5) | (1 << 15))).toBe(0);
    expect(edx & (1 << 21)).toBe(0);
  });

  test.each([true, false])('has the TSC deadline timer if the host has it: %s', (hasTscDeadlineTimer) => {
    const { ecx } = find(guestCpuid([leaf(1)], { ...ONE, hasTscDeadlineTimer }), 1);

    expect((ecx & (1 << 24)) !== 0).toBe(hasTscDeadlineTimer);
  });

  test('has HTT with several vCPUs only', () => {
    const bits = [1, 2].map((vcpuCount) => find(guestCpuid([leaf(1)], { ...ONE, vcpuCount }), 1).edx >>> 28);

    expect(bits).toEqual([0, 1]);
  });
});

describe('topology', () => {
  test.each([
    [1, 0],
    [2, 1],
    [6, 3],
    [32, 5],
  ])('of %d vCPUs: one thread per core, %d identifier bits', (vcpuCount, bits) => {
    const entries = guestCpuid([INTEL], { ...ONE, vcpuCount });

    const levels = [0, 1, 2].map((index) => find(entries, 0xb, index));

    expect(levels.map(({ eax, ebx, ecx }) => [eax, ebx, ecx])).toEqual([
      [0, 1, 0x100],
      [bits, vcpuCount, 0x201],
      [0, 0, 2],
    ]);
    expect(levels.every((entry) => entry.flags === 1)).toBe(true);
  });

  test("replaces the host's, in leaf 1FH too if there is one", () => {
    const supported = [INTEL, leaf(0xb, { edx: 77 }), leaf(0x1f, { edx: 77 }), leaf(0x1f, { index: 1, edx: 77 })];

    const entries = guestCpuid(supported, THIRD_OF_SIX);

    expect(entries.filter((entry) => entry.function === 0xb).map((entry) => entry.edx)).toEqual([2, 2, 2]);
    expect(entries.filter((entry) => entry.function === 0x1f).map((entry) => entry.edx)).toEqual([2, 2, 2]);
  });

  test('raises the largest leaf to 0BH on processors that end before', () => {
    expect(find(guestCpuid([leaf(0, { eax: 7 })], ONE), 0).eax).toBe(0xb);
  });

  test("caches of level 1 and 2 are a core's own, level 3 is shared (Intel, leaf 4)", () => {
    const supported = [1, 2, 3].map((level) => leaf(4, { index: level, eax: 0xffff_c001 | (level << 5) }));

    const entries = guestCpuid([INTEL, ...supported], THIRD_OF_SIX);

    const sharing = [1, 2, 3].map((level) => (find(entries, 4, level).eax >>> 14) & 0xfff);
    expect(sharing).toEqual([0, 0, 7]);
    expect(find(entries, 4, 3).eax >>> 26).toBe(7);
  });

  test("AMD's own leaves say the same", () => {
    const supported = [
      AMD,
      leaf(0x8000_0001),
      leaf(0x8000_0008, { eax: 0x3030, ecx: 0x707f }),
      leaf(0x8000_001d, { index: 3, eax: 0x0003_c163 }),
      leaf(0x8000_001e, { eax: 99, ebx: 0x0115, ecx: 0x0301 }),
    ];

    const entries = guestCpuid(supported, THIRD_OF_SIX);

    expect(find(entries, 0x8000_0001).ecx).toBe(1 << 1);
    expect(find(entries, 0x8000_0008)).toMatchObject({ eax: 0x3030, ecx: 0x3005 });
    expect((find(entries, 0x8000_001d, 3).eax >>> 14) & 0xfff).toBe(7);
    expect(find(entries, 0x8000_001e)).toMatchObject({ eax: 2, ebx: 2, ecx: 0 });
  });
});

describe('what the machine does not have', () => {
  test.each([5, 0xa, 0x12, 0x14, 0x8000_000a, 0x8000_001b, 0x8000_001f, 0x8000_0022, 0x8000_0026])(
    'leaf %i is left out',
    (number) => {
      expect(guestCpuid([leaf(number, ALL_ONES)], ONE).some((entry) => entry.function === number)).toBe(false);
    },
  );

  test('SVM, IBS and the performance counters of AMD are not named', () => {
    const { ecx } = find(guestCpuid([AMD, leaf(0x8000_0001, ALL_ONES)], ONE), 0x8000_0001);

    expect(ecx & ((1 << 2) | (1 << 10) | (1 << 23) | (1 << 24) | (1 << 28))).toBe(0);
  });

  test('SGX, processor trace, hybrid and last branch records are not named', () => {
    const { ebx, ecx, edx } = find(guestCpuid([leaf(7, ALL_ONES)], ONE), 7);

    expect([ebx & ((1 << 2) | (1 << 25)), ecx & (1 << 30), edx & ((1 << 15) | (1 << 19))]).toEqual([0, 0, 0]);
  });

  test('AMX is named only if its state can be saved', () => {
    const amx = [leaf(7, { edx: 7 << 24 }), leaf(0x1d), leaf(0x1e)];

    const without = guestCpuid([...amx, leaf(0xd, { eax: 0x2e7 })], ONE);
    const having = guestCpuid([...amx, leaf(0xd, { eax: 0x6_02e7 })], ONE);

    expect([find(without, 7).edx & (3 << 24), find(having, 7).edx & (3 << 24)]).toEqual([0, 3 << 24]);
    expect(without.some((entry) => entry.function === 0x1d || entry.function === 0x1e)).toBe(false);
    expect(having.filter((entry) => entry.function === 0x1d || entry.function === 0x1e).length).toBe(2);
  });
});

test("KVM's leaves, the brand string and subleaves stay as they are", () => {
  const kept = [
    leaf(7, { index: 1, eax: 0x10 }),
    leaf(0xd, { index: 1, eax: 0xf }),
    leaf(0x4000_0000, { eax: 0x4000_0001, ebx: 0x4b4d_564b }),
    leaf(0x4000_0001, { eax: 0x0100_7efb }),
    leaf(0x8000_0002, { eax: 0x2044_4d41 }),
  ];

  expect(guestCpuid(kept, ONE).slice(0, kept.length)).toEqual(kept);
});

test('all registers are unsigned', () => {
  const entries = guestCpuid([leaf(1, ALL_ONES), leaf(4, ALL_ONES), leaf(7, ALL_ONES)], THIRD_OF_SIX);

  expect(entries.flatMap(({ eax, ebx, ecx, edx }) => [eax, ebx, ecx, edx]).every((value) => value >= 0)).toBe(true);
});

test('hasGigabytePages reads 80000001H:EDX[26]', () => {
  expect([[leaf(0x8000_0001, { edx: 1 << 26 })], [leaf(0x8000_0001)], []].map(hasGigabytePages)).toEqual([
    true,
    false,
    false,
  ]);
});

test("processorSignature is leaf 1's EAX and EDX", () => {
  expect(processorSignature([leaf(1, { eax: 0xa20f10, edx: 0x178bfbff })])).toEqual({
    signature: 0xa20f10,
    features: 0x178bfbff,
  });
});
