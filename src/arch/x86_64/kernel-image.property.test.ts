import fc from 'fast-check';
import { expect, test } from 'vitest';
import { guestAddress } from '../../lib/brand.ts';
import { MIB } from '../../lib/units.ts';
import { GuestMemory } from '../../memory/guest-memory.ts';
import { parseKernel } from './kernel-image.ts';
import { KernelImageError } from './kernel-image-error.ts';
import { HIGH_MEMORY_START } from './layout.ts';
import { loadKernel, planBoot } from './load-kernel.ts';
import { sampleBzImage, sampleElf } from './testing/sample-images.ts';

const MEMORY_SIZE = 32 * MIB;
const memory = new GuestMemory([{ guestAddress: guestAddress(0), bytes: new Uint8Array(MEMORY_SIZE) }]);

/** Parses, plans and loads. A write outside of RAM would throw GuestMemoryError. */
function boot(file: Uint8Array): 'loaded' | KernelImageError {
  try {
    const image = parseKernel(file);
    for (const { address, memorySize } of image.segments) {
      expect(address).toBeGreaterThanOrEqual(HIGH_MEMORY_START);
      expect(Number.isSafeInteger(address + memorySize)).toBe(true);
    }
    const plan = planBoot({ image, memorySize: MEMORY_SIZE, commandLine: '', initrd: new Uint8Array(100) });
    loadKernel(memory, plan, { vcpuCount: 1, cpuid: [], virtioSlots: [], hasSerialPort: false });
    return 'loaded';
  } catch (error) {
    expect(error).toBeInstanceOf(KernelImageError);
    return error as KernelImageError;
  }
}

/** A valid image of which some bytes are others, and which may end early. */
function mutated(file: Uint8Array, headerSize: number): fc.Arbitrary<Uint8Array> {
  const mutation = fc.record({ offset: fc.nat(headerSize - 1), value: fc.constantFrom(0, 1, 0x7f, 0x80, 0xff) });
  const random = fc.record({ offset: fc.nat(headerSize - 1), value: fc.nat(255) });
  return fc
    .record({
      mutations: fc.array(fc.oneof(mutation, random), { maxLength: 12 }),
      length: fc.option(fc.nat(file.length), { nil: file.length, freq: 5 }),
    })
    .map(({ mutations, length }) => {
      const copy = file.slice(0, length);
      for (const { offset, value } of mutations) if (offset < length) copy[offset] = value;
      return copy;
    });
}

const ELF = sampleElf({ pvhEntry: 16 * MIB });
const BZIMAGE = sampleBzImage();

test('a mutated ELF kernel is loaded into RAM or refused, nothing else', () => {
  fc.assert(
    fc.property(mutated(ELF, ELF.length), (file) => {
      boot(file);
    }),
    { numRuns: 5000 },
  );
});

test('a mutated bzImage is loaded into RAM or refused, nothing else', () => {
  // Only the setup header's 123 bytes are looked at.
  const header = mutated(BZIMAGE.subarray(0x1f1), 0x26c - 0x1f1);
  fc.assert(
    fc.property(header, (tail) => {
      boot(Uint8Array.of(...BZIMAGE.subarray(0, 0x1f1), ...tail));
    }),
    { numRuns: 3000 },
  );
});

test('any bytes are refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2048 }), (file) => {
      expect(boot(file)).toBeInstanceOf(KernelImageError);
    }),
  );
});

test('any address and size of a segment is loaded into RAM or refused', () => {
  const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  const near = fc.integer({ min: MIB, max: MEMORY_SIZE }).map(BigInt);
  fc.assert(
    fc.property(fc.oneof(u64, near), fc.oneof(u64, near), fc.oneof(u64, near), (address, memorySize, entry) => {
      boot(sampleElf({ segments: [{ address, memorySize, bytes: new Uint8Array(32) }], entry }));
    }),
    { numRuns: 2000 },
  );
});
