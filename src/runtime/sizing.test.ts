import { describe, expect, test } from 'vitest';
import type { Config } from '../oci/config.ts';
import { guestOverheadMib, type SizingKeys, sizeVm } from './sizing.ts';

const HOST = { cpus: 16, memoryMib: 65_536 };
const KEYS: SizingKeys = {
  default_vcpus: 1,
  default_maxvcpus: 0,
  default_memory: 512,
  default_maxmemory: 0,
  guest_memory_overhead: 0,
  enable_hugepages: false,
  hugepage_size: '2M',
};
const MIB = 2 ** 20;

function container(resources: object, annotations: Record<string, string> = {}): Pick<Config, 'annotations' | 'linux'> {
  return { linux: { resources: resources as Record<string, unknown> }, annotations };
}

describe('processors', () => {
  test.each([
    ['no limit', {}, 1],
    ['a quota and its period', { quota: 400_000, period: 100_000 }, 4],
    ['a part of a processor', { quota: 50_000, period: 100_000 }, 1],
    ['one and a half, rounded up', { quota: 150_000, period: 100_000 }, 2],
    ['a quota of the usual period', { quota: 300_000 }, 3],
    ['a quota of -1, which is none', { quota: -1, period: 100_000 }, 1],
    ['shares, which limit nothing', { shares: 4096 }, 1],
    ['a cpuset alone', { cpus: '0-3,8' }, 5],
    ['a cpuset that is smaller than the quota', { quota: 800_000, period: 100_000, cpus: '4,5' }, 2],
    ['a cpuset that is bigger than the quota', { quota: 200_000, period: 100_000, cpus: '0-7' }, 2],
    ['nothing, as Go writes it', { quota: null, period: null, cpus: '' }, 1],
    ['more than the host has', { quota: 6_400_000, period: 100_000 }, 16],
  ])('%s', (_name, cpu, expected) => {
    expect(sizeVm(container({ cpu }), KEYS, HOST).cpus).toBe(expected);
  });

  test('are never more than the configuration allows, and never more than the VMM can', () => {
    const all = container({ cpu: { quota: 6_400_000, period: 100_000 } });

    expect(sizeVm(all, { ...KEYS, default_maxvcpus: 4 }, HOST)).toMatchObject({ cpus: 4, maxCpus: 4 });
    expect(sizeVm(all, KEYS, { ...HOST, cpus: 256 })).toMatchObject({ cpus: 32, maxCpus: 32 });
    expect(sizeVm(container({}), { ...KEYS, default_vcpus: 8, default_maxvcpus: 4 }, HOST).cpus).toBe(4);
  });
});

describe('processors that may come while a VM runs', () => {
  test.each([
    ['some where nobody says', 0, {}, 4],
    ['as many as the configuration says', 8, {}, 8],
    ['not more than the host has', 32, {}, 16],
    ['never less than it starts with', 0, { quota: 800_000 }, 8],
  ])('are %s', (_name, default_maxvcpus, cpu, expected) => {
    expect(sizeVm(container({ cpu }), { ...KEYS, default_maxvcpus }, HOST).maxCpus).toBe(expected);
  });

  test('are none on a host with one', () => {
    expect(sizeVm(container({}), KEYS, { ...HOST, cpus: 1 })).toMatchObject({ cpus: 1, maxCpus: 1 });
  });
});

describe('memory', () => {
  test.each([undefined, null, 0, -1])('of a container with the limit %s is the default', (limit) => {
    expect(sizeVm(container({ memory: { limit } }), KEYS, HOST).memoryMib).toBe(512);
  });

  /** Seen in guests of 1, 2 and 8 processors: MiB of the VM, and how much less than that MemAvailable was. */
  const MEASURED: readonly [vmMib: number, cpus: number, lessMib: number][] = [
    [40, 1, 29.2],
    [48, 1, 29.4],
    [64, 1, 29.6],
    [96, 1, 30.1],
    [128, 1, 31.3],
    [256, 1, 34.0],
    [512, 1, 40.0],
    [1024, 1, 78.3],
    [1024, 2, 81.7],
    [1024, 8, 96.3],
    [2048, 1, 96.5],
    [3072, 1, 116.4],
    [4096, 1, 173.0],
    [8192, 1, 262.3],
  ];
  test.each(MEASURED)('what a guest of %i MiB and %i processors takes is known', (vmMib, cpus, lessMib) => {
    const overhead = guestOverheadMib(vmMib, cpus);

    expect(overhead).toBeGreaterThanOrEqual(lessMib);
    expect(overhead).toBeLessThan(lessMib + 7);
  });

  test.each([
    [6, 64],
    [64, 97],
    [512, 586],
    [2048, 2151],
    [8192, 8465],
  ])('a limit of %i MiB makes a VM of %i MiB', (limitMib, expected) => {
    expect(sizeVm(container({ memory: { limit: limitMib * MIB } }), KEYS, HOST).memoryMib).toBe(expected);
  });

  test('has on top what the configuration adds for the guest', () => {
    const size = (guest_memory_overhead: number): number =>
      sizeVm(container({ memory: { limit: 512 * MIB } }), { ...KEYS, guest_memory_overhead }, HOST).memoryMib;

    expect(size(100) - size(0)).toBe(100);
  });

  test('is never more than the host has, or than the configuration allows', () => {
    const huge = container({ memory: { limit: 2 ** 60 } });

    expect(sizeVm(huge, KEYS, HOST)).toMatchObject({ memoryMib: 65_536, maxMemoryMib: 65_536 });
    expect(sizeVm(huge, { ...KEYS, default_maxmemory: 1000 }, HOST)).toMatchObject({
      memoryMib: 1000,
      maxMemoryMib: 1000,
    });
  });

  test('grows up to what the host has, and the VMM can', () => {
    const size = (memoryMib: number) => sizeVm(container({}), KEYS, { ...HOST, memoryMib });

    expect(size(65_536)).toMatchObject({ memoryMib: 512, maxMemoryMib: 65_536 });
    expect(size(2 ** 22)).toMatchObject({ memoryMib: 512, maxMemoryMib: 2 ** 20 });
  });

  test.each([
    ['2M', 586, 586],
    ['1G', 1024, 1024],
    ['transparent', 586, 65_537],
  ] as const)(
    'in huge pages (%s) is a whole number of them, and grows only where they are of no pool',
    (hugepage_size, memoryMib, maxMemoryMib) => {
      const keys = { ...KEYS, enable_hugepages: true, hugepage_size };

      const size = sizeVm(container({ memory: { limit: 512 * MIB } }), keys, { ...HOST, memoryMib: 65_537 });

      expect(size).toMatchObject({ memoryMib, maxMemoryMib });
    },
  );
});

describe('a pod', () => {
  test('has the size that containerd tells', () => {
    const annotations = {
      'io.kubernetes.cri.sandbox-cpu-quota': '250000',
      'io.kubernetes.cri.sandbox-cpu-period': '100000',
      'io.kubernetes.cri.sandbox-memory': String(512 * MIB),
    };

    expect(sizeVm(container({ cpu: { quota: 1000, period: 1000 } }, annotations), KEYS, HOST)).toMatchObject({
      cpus: 3,
      memoryMib: 592,
    });
  });

  test.each(['pod-linux-resources.crio.io', 'io.kubernetes.cri-o.PodLinuxResources'])('... and CRI-O: %s', (name) => {
    const told = { cpu_period: 100_000, cpu_quota: 200_000, cpu_shares: 2048, memory_limit_in_bytes: 512 * MIB };

    expect(sizeVm(container({}, { [name]: JSON.stringify(told) }), KEYS, HOST)).toMatchObject({
      cpus: 2,
      memoryMib: 589,
    });
  });

  test.each([
    [{ 'io.kubernetes.cri.sandbox-cpu-quota': '0', 'io.kubernetes.cri.sandbox-memory': '0' }],
    [{ 'io.kubernetes.cri.sandbox-memory': 'much' }],
    [{ 'io.kubernetes.cri-o.PodLinuxResources': '{' }],
    [{ 'io.kubernetes.cri-o.PodLinuxResources': 'null' }],
  ])('without limits has the defaults: %j', (annotations) => {
    expect(sizeVm(container({}, annotations as Record<string, string>), KEYS, HOST)).toMatchObject({
      cpus: 1,
      memoryMib: 512,
    });
  });
});
