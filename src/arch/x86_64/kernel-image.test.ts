import { describe, expect, test } from 'vitest';
import { GIB, MIB } from '../../lib/units.ts';
import { parseKernel } from './kernel-image.ts';
import { KernelImageError, type KernelImageErrorCode } from './kernel-image-error.ts';
import { patched, sampleBzImage, sampleElf } from './testing/sample-images.ts';

function refusal(file: Uint8Array): KernelImageErrorCode {
  try {
    parseKernel(file);
  } catch (error) {
    expect(error).toBeInstanceOf(KernelImageError);
    return (error as KernelImageError).code;
  }
  throw new Error('the image was taken');
}

const CODE = new Uint8Array(64).fill(0x90);

describe('ELF', () => {
  test('a vmlinux is entered at its ELF entry, its segments stay views of the file', () => {
    const file = sampleElf({
      segments: [
        { address: 16 * MIB, bytes: CODE },
        { address: 18 * MIB, bytes: CODE, memorySize: MIB },
      ],
      entry: 16 * MIB + 3,
    });

    const image = parseKernel(file);

    expect(image.format).toBe('elf');
    expect(image.entries).toEqual({ linux64: 16 * MIB + 3 });
    expect(image.segments.map(({ address, memorySize }) => [address, memorySize])).toEqual([
      [16 * MIB, 64],
      [18 * MIB, MIB],
    ]);
    expect(image.segments.every((segment) => segment.bytes.buffer === file.buffer)).toBe(true);
  });

  test('the PVH entry is found behind other notes', () => {
    const image = parseKernel(sampleElf({ pvhEntry: 16 * MIB + 16 }));

    expect(image.entries).toEqual({ linux64: 16 * MIB, pvh: 16 * MIB + 16 });
  });

  test('a kernel with a virtual ELF entry is entered by PVH alone', () => {
    const image = parseKernel(sampleElf({ entry: 0xffff_ffff_8100_0000n, pvhEntry: 16 * MIB }));

    expect(image.entries).toEqual({ pvh: 16 * MIB });
  });

  test.each<[string, KernelImageErrorCode, Uint8Array]>([
    ['an empty file', 'UNKNOWN_FORMAT', new Uint8Array()],
    ['a script', 'UNKNOWN_FORMAT', new TextEncoder().encode('#!/bin/sh\n')],
    ['the first bytes of an ELF file', 'TRUNCATED', sampleElf().subarray(0, 40)],
    ['a 32-bit file', 'WRONG_ARCHITECTURE', patched(sampleElf(), 4, [1])],
    ['a big-endian file', 'WRONG_ARCHITECTURE', patched(sampleElf(), 5, [2])],
    ['an arm64 file', 'WRONG_ARCHITECTURE', patched(sampleElf(), 18, [0xb7, 0])],
    ['an object file', 'BAD_HEADER', patched(sampleElf(), 16, [1, 0])],
    ['program headers of another size', 'BAD_HEADER', patched(sampleElf(), 54, [32, 0])],
    ['program headers behind the end', 'TRUNCATED', patched(sampleElf(), 32, [0, 0, 0, 0, 0, 0, 0, 0xff])],
    ['no program headers', 'BAD_HEADER', patched(sampleElf(), 56, [0, 0])],
    ['a segment behind the end', 'TRUNCATED', sampleElf().subarray(0, 150)],
    ['more bytes in the file than in memory', 'BAD_HEADER', patched(sampleElf(), 64 + 40, [1])],
    ['an entry outside of all segments', 'NO_ENTRY', sampleElf({ entry: 16 * MIB + 64 })],
    ['a segment below 1 MiB', 'BAD_ADDRESS', sampleElf({ segments: [{ address: 0x7000, bytes: CODE }] })],
    ['a segment in the MMIO hole', 'BAD_ADDRESS', sampleElf({ segments: [{ address: 3 * GIB - 32, bytes: CODE }] })],
    [
      'virtual addresses as physical ones',
      'BAD_ADDRESS',
      sampleElf({ segments: [{ address: 0xffff_ffff_8100_0000n, bytes: CODE }] }),
    ],
    [
      'a segment of 2^63 bytes',
      'BAD_ADDRESS',
      sampleElf({ segments: [{ address: 16 * MIB, bytes: CODE, memorySize: 2n ** 63n }] }),
    ],
    [
      'segments over each other',
      'OVERLAP',
      sampleElf({
        segments: [
          { address: 16 * MIB, bytes: CODE, memorySize: 4096 },
          { address: 16 * MIB + 4095, bytes: CODE },
        ],
      }),
    ],
  ])('%s: %s', (_, code, file) => {
    expect(refusal(file)).toBe(code);
  });
});

describe('bzImage', () => {
  test('a relocatable kernel is loaded where it will run', () => {
    const image = parseKernel(sampleBzImage());

    expect(image.format).toBe('bzImage');
    expect(image.entries).toEqual({ linux64: 16 * MIB + 0x200 });
    expect(image.segments.map(({ address, memorySize }) => [address, memorySize])).toEqual([[16 * MIB, 4 * MIB]]);
    expect(image.segments[0]?.bytes).toEqual(new Uint8Array(1024).fill(0x90));
  });

  test('its preferred address is rounded up to its alignment', () => {
    const image = parseKernel(sampleBzImage({ pref_address: 17 * MIB }));

    expect(image.segments[0]?.address).toBe(18 * MIB);
  });

  test('a kernel that cannot be moved is loaded at code32_start and keeps its place at pref_address free', () => {
    const image = parseKernel(sampleBzImage({ relocatable_kernel: 0 }));

    expect(image.entries).toEqual({ linux64: MIB + 0x200 });
    expect(image.segments.map(({ address, memorySize }) => [address, memorySize])).toEqual([
      [MIB, 1024],
      [16 * MIB, 4 * MIB],
    ]);
  });

  test('the setup header ends where its jump goes', () => {
    expect(parseKernel(sampleBzImage()).setupHeader.length).toBe(0x26c - 0x1f1);
  });

  test('no setup sectors means four', () => {
    const file = sampleBzImage({ setup_sects: 4 });

    expect(parseKernel(patched(file, 0x1f1, [0])).segments[0]?.bytes.length).toBe(1024);
  });

  test('an incomplete last paragraph and a signature behind it do no harm', () => {
    const file = sampleBzImage();

    expect(parseKernel(file.subarray(0, file.length - 15)).segments[0]?.bytes.length).toBe(1009);
    expect(parseKernel(Uint8Array.of(...file, 1, 2, 3)).segments[0]?.bytes.length).toBe(1024);
  });

  test.each<[string, KernelImageErrorCode, Uint8Array]>([
    ['the boot sector alone', 'TRUNCATED', sampleBzImage().subarray(0, 0x220)],
    ['half of the payload', 'TRUNCATED', sampleBzImage().subarray(0, 2000)],
    ['no boot flag', 'BAD_HEADER', sampleBzImage({ boot_flag: 0 })],
    ['protocol 2.11', 'OLD_PROTOCOL', sampleBzImage({ version: 0x20b })],
    ['a zImage', 'BAD_HEADER', sampleBzImage({ loadflags: 0 })],
    ['a 32-bit kernel', 'WRONG_ARCHITECTURE', sampleBzImage({ xloadflags: 0 })],
    ['an alignment that is no power of two', 'BAD_HEADER', sampleBzImage({ kernel_alignment: 3 })],
    ['no alignment', 'BAD_HEADER', sampleBzImage({ kernel_alignment: 0 })],
    ['an address above 4 GiB', 'BAD_ADDRESS', sampleBzImage({ pref_address: 2 ** 33 })],
    ['an address below 1 MiB', 'BAD_ADDRESS', sampleBzImage({ pref_address: 0 })],
    ['a payload without an entry', 'BAD_HEADER', sampleBzImage({ syssize: 32 })],
    [
      'a kernel that unpacks over the place of its own structures',
      'BAD_ADDRESS',
      sampleBzImage({ relocatable_kernel: 0, pref_address: 0x1000 }),
    ],
  ])('%s: %s', (_, code, file) => {
    expect(refusal(file)).toBe(code);
  });
});
