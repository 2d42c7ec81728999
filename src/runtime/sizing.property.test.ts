import fc from 'fast-check';
import { expect, test } from 'vitest';
import { guestOverheadMib, sizeFor } from './sizing.ts';
import { sandboxLimits } from './sizing-limits.ts';

const size = fc.record({ cpus: fc.integer({ min: 1, max: 512 }), memoryMib: fc.integer({ min: 64, max: 2 ** 21 }) });
const limits = fc.record(
  { cpus: fc.integer({ min: 1, max: 1024 }), memoryMib: fc.integer({ min: 1, max: 2 ** 21 }) },
  { requiredKeys: [] },
);
const keys = fc.record({
  default_vcpus: fc.integer({ min: 1, max: 32 }),
  default_maxvcpus: fc.integer({ min: 0, max: 32 }),
  default_memory: fc.integer({ min: 64, max: 2 ** 20 }),
  default_maxmemory: fc.integer({ min: 0, max: 2 ** 20 }),
  guest_memory_overhead: fc.integer({ min: 0, max: 2 ** 20 }),
  enable_hugepages: fc.boolean(),
  hugepage_size: fc.constantFrom('2M', '1G', 'transparent'),
} as const);

test('a VM can always be made, and grow: whole numbers, at least 1 and 64 MiB, never beyond its maxima', () => {
  fc.assert(
    fc.property(limits, keys, size, (limits, keys, host) => {
      const vm = sizeFor(limits, keys, host);

      expect(Object.values(vm).every(Number.isSafeInteger)).toBe(true);
      expect(vm.cpus).toBeGreaterThanOrEqual(1);
      expect(vm.maxCpus).toBeGreaterThanOrEqual(vm.cpus);
      expect(vm.maxCpus).toBeLessThanOrEqual(Math.min(host.cpus, 32));
      expect(vm.memoryMib).toBeGreaterThanOrEqual(64);
      expect(vm.maxMemoryMib).toBeGreaterThanOrEqual(vm.memoryMib);
    }),
  );
});

test('what a container may use fits into its VM beside the guest, where the host has the room, and little is left over', () => {
  const host = { cpus: 32, memoryMib: 2 ** 22 };
  const free = { default_vcpus: 1, default_maxvcpus: 0, default_memory: 512, default_maxmemory: 0 } as const;
  const ordinary = { guest_memory_overhead: 0, enable_hugepages: false, hugepage_size: '2M' } as const;
  // With what the guest takes, below the 1 TiB that a VM may have.
  const mostMib = 1_000_000;
  fc.assert(
    fc.property(fc.integer({ min: 64, max: mostMib }), fc.integer({ min: 1, max: 32 }), (memoryMib, cpus) => {
      const vm = sizeFor({ memoryMib, cpus }, { ...free, ...ordinary }, host);
      const usable = vm.memoryMib - guestOverheadMib(vm.memoryMib, vm.cpus);

      expect(usable).toBeGreaterThanOrEqual(memoryMib);
      // A step of the overhead, where another zone begins, may be passed for nothing.
      expect(usable).toBeLessThan(memoryMib + 36);
    }),
  );
});

test('more is never answered with less', () => {
  const host = { cpus: 64, memoryMib: 2 ** 20 };
  fc.assert(
    fc.property(limits, limits, keys, (a, b, keys) => {
      const more = {
        cpus: Math.max(a.cpus ?? 1, b.cpus ?? 1),
        memoryMib: Math.max(a.memoryMib ?? 1, b.memoryMib ?? 1),
      };
      const less = { cpus: a.cpus ?? 1, memoryMib: a.memoryMib ?? 1 };

      expect(sizeFor(more, keys, host).cpus).toBeGreaterThanOrEqual(sizeFor(less, keys, host).cpus);
      expect(sizeFor(more, keys, host).memoryMib).toBeGreaterThanOrEqual(sizeFor(less, keys, host).memoryMib);
    }),
  );
});

test('no annotation and no resource, of whatever form, is more than passed over', () => {
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.constantFrom(
          'io.kubernetes.cri.sandbox-cpu-quota',
          'io.kubernetes.cri.sandbox-memory',
          'io.kubernetes.cri-o.PodLinuxResources',
        ),
        fc.oneof(fc.string(), fc.json()),
      ),
      fc.dictionary(fc.constantFrom('cpu', 'memory'), fc.object()),
      (annotations, resources) => {
        const found = sandboxLimits(annotations, resources);

        expect(Object.values(found).every((value) => value > 0)).toBe(true);
      },
    ),
  );
});
