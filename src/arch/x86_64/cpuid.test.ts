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

describe.each<[string, CpuidEntry, number]>([
  ['Intel', INTEL, 0x1f],
  ['AMD', AMD, 0xb],
  // "HygonGenuine"
  ['Hygon', leaf(0, { eax: 0x10, ebx: 0x6f67_7948, edx: 0x6e65_476e, ecx: 0x656e_6975 }), 0xb],
])('a kernel on %s sees the same from every side', (_, vendor, extendedTopologyLeaf) => {
  const supported = [
    vendor,
    leaf(1, ALL_ONES),
    leaf(4, { index: 3, eax: 0xffff_c163 }),
    leaf(0xb, ALL_ONES),
    ...(extendedTopologyLeaf === 0x1f ? [leaf(0x1f, ALL_ONES)] : []),
    leaf(0x8000_0001, ALL_ONES),
    leaf(0x8000_0008, ALL_ONES),
    leaf(0x8000_001d, { index: 3, eax: 0x0003_c163 }),
    leaf(0x8000_001e, ALL_ONES),
  ];
  const counts = Array.from({ length: 32 }, (_, index) => index + 1);
  const isAmd = extendedTopologyLeaf === 0xb;

  test.each(counts)('of %d vCPUs in one package, one thread per core', (vcpuCount) => {
    const vcpus = Array.from({ length: vcpuCount }, (_, vcpuIndex) =>
      guestCpuid(supported, { vcpuIndex, vcpuCount, hasTscDeadlineTimer: true }),
    );

    // Linux, arch/x86/kernel/cpu/topology_ext.c: shift of the last level is what is left of an identifier of the package.
    const identifiers = vcpus.map((entries) => find(entries, extendedTopologyLeaf).edx);
    const packageShift = find(vcpus[0] ?? [], extendedTopologyLeaf, 1).eax;
    expect(identifiers).toEqual(counts.slice(0, vcpuCount).map((count) => count - 1));
    expect(identifiers.every((identifier) => identifier >>> packageShift === 0)).toBe(true);
    expect(vcpus.map((entries) => find(entries, 1).ebx >>> 24)).toEqual(identifiers);
    // The legacy leaves: logical processors of the package, cores of the package, who shares the last cache.
    const [first = []] = vcpus;
    const idCount = 2 ** packageShift;
    expect((find(first, 1).ebx >>> 16) & 0xff).toBe(idCount);
    expect((find(first, 4, 3).eax >>> 14) & 0xfff).toBe(idCount - 1);
    expect((find(first, 4, 3).eax >>> 26) + 1).toBe(idCount);
    const amd = { cores: find(first, 0x8000_0008).ecx & 0xff, bits: (find(first, 0x8000_0008).ecx >>> 12) & 0xf };
    expect(amd).toEqual(isAmd ? { cores: vcpuCount - 1, bits: packageShift } : { cores: 0xff, bits: 0xf });
    const amdIdentifiers = vcpus.map((entries) => find(entries, 0x8000_001e).eax);
    expect(amdIdentifiers).toEqual(isAmd ? identifiers : vcpus.map(() => 0xffff_ffff));
  });
});

describe('what the machine does not have', () => {
  test.each([5, 0xa, 0x12, 0x14, 0x1c, 0x23, 0x8000_000a, 0x8000_001b, 0x8000_001f, 0x8000_0022, 0x8000_0026])(
    'leaf %i is left out',
    (number) => {
      expect(guestCpuid([leaf(number, ALL_ONES)], ONE).some((entry) => entry.function === number)).toBe(false);
    },
  );

  test('SVM, IBS and the performance counters of AMD are not named', () => {
    const { ecx } = find(guestCpuid([AMD, leaf(0x8000_0001, ALL_ONES)], ONE), 0x8000_0001);

    expect(ecx & ((1 << 2) | (1 << 10) | (1 << 23) | (1 << 24) | (1 << 28))).toBe(0);
  });

  test('virtual machines within are not offered, of whatever kind', () => {
    const entries = guestCpuid([AMD, leaf(1, ALL_ONES), leaf(0x8000_0001, ALL_ONES), leaf(0x8000_000a, ALL_ONES)], ONE);

    expect([find(entries, 1).ecx & (1 << 5), find(entries, 0x8000_0001).ecx & (1 << 2)]).toEqual([0, 0]);
    expect(entries.some((entry) => entry.function === 0x8000_000a)).toBe(false);
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

test('of the features but for topology and hypervisor, nothing is named that KVM does not support', () => {
  const FEATURE_LEAVES = [1, 7, 0xd, 0x8000_0001, 0x8000_0007, 0x8000_0008, 0x8000_0021, 0x4000_0001];
  const supported = [AMD, ...FEATURE_LEAVES.map((number) => leaf(number))];

  const entries = guestCpuid(supported, { ...THIRD_OF_SIX, hasTscDeadlineTimer: false });

  const named = FEATURE_LEAVES.map((number) => find(entries, number)).map(({ eax, ebx, ecx, edx }) => [
    ...[eax, ebx, ecx, edx],
  ]);
  expect(named).toEqual([
    // X2APIC, which the local APIC that KVM emulates always has; HYPERVISOR; HTT.
    [0, 0x0208_0000, 0x8020_0000, 0x1000_0000],
    [0, 0, 0, 0],
    [0, 0, 0, 0],
    [0, 0, 2, 0], // CMP_LEGACY
    [0, 0, 0, 0],
    [0, 0, 0x3005, 0],
    [0, 0, 0, 0],
    [0, 0, 0, 0],
  ]);
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
