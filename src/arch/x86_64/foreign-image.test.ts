import { describe, expect, test } from 'vitest';
import { parseKernel } from './kernel-image.ts';
import { KernelImageError } from './kernel-image-error.ts';
import { patched } from './testing/sample-images.ts';

const bytes = (text: string): number[] => [...text].map((character) => character.charCodeAt(0));

/** A file of 512 zeros with these bytes at these offsets. */
function file(...parts: readonly (readonly [offset: number, content: readonly number[]])[]): Uint8Array {
  return parts.reduce<Uint8Array>((made, [offset, content]) => patched(made, offset, content), new Uint8Array(512));
}

function refusal(image: Uint8Array): { code: string; message: string } {
  try {
    parseKernel(image);
  } catch (error) {
    expect(error).toBeInstanceOf(KernelImageError);
    const { code, message } = error as KernelImageError;
    return { code, message };
  }
  throw new Error('the image was taken');
}

const MZ = [0, bytes('MZ')] as const;
const PE_AT_0X80 = [0x3c, [0x80, 0, 0, 0]] as const;

describe('a file that is no kernel for x86-64 is named in its refusal', () => {
  test.each<[string, string, Uint8Array]>([
    ['an arm64 Image', 'a kernel for arm64', file([0x38, bytes('ARM\x64')])],
    ['an arm64 Image that is an EFI program', 'a kernel for arm64', file(MZ, [0x38, bytes('ARM\x64')])],
    ['a RISC-V Image', 'a kernel for RISC-V', file([0x38, bytes('RSC\x05')])],
    ['a zImage for ARM', 'a kernel for 32-bit ARM', file([0x24, [0x18, 0x28, 0x6f, 0x01]])],
    [
      'an EFI program for arm64',
      'an EFI program for machine 0xaa64',
      file(MZ, PE_AT_0X80, [0x80, [...bytes('PE\0\0'), 0x64, 0xaa]]),
    ],
  ])('%s', (_, what, image) => {
    expect(refusal(image)).toEqual({ code: 'WRONG_ARCHITECTURE', message: expect.stringContaining(what) });
  });

  test.each<[string, string, Uint8Array]>([
    ['a vmlinux.gz', 'compressed with gzip; unpack it first', file([0, [0x1f, 0x8b]])],
    ['a vmlinux.xz', 'compressed with xz', file([0, [0xfd, ...bytes('7zXZ\0')]])],
    ['a vmlinux.zst', 'compressed with zstd', file([0, [0x28, 0xb5, 0x2f, 0xfd]])],
    ['a vmlinux.lz4', 'compressed with lz4', file([0, [0x04, 0x22, 0x4d, 0x18]])],
    ['an initial RAM disk', 'a cpio archive', file([0, bytes('070701')])],
    ['a script', 'a script', file([0, bytes('#!/bin/sh')])],
    ['a zboot image', 'a kernel packed as an EFI program', file(MZ, [4, bytes('zimg')])],
    ['a unified kernel image', 'the section .linux', file(MZ, PE_AT_0X80, [0x80, [...bytes('PE\0\0'), 0x64, 0x86]])],
    ['anything else', '512 bytes that are neither', file()],
    ['a DOS program', '512 bytes that are neither', file(MZ)],
    [
      'a PE header behind the end',
      '512 bytes that are neither',
      file(MZ, [0x3c, [0xfe, 1, 0, 0]], [0x1fe, bytes('PE')]),
    ],
    ['the letters MZ', '2 bytes that are neither', Uint8Array.from(bytes('MZ'))],
  ])('%s', (_, what, image) => {
    expect(refusal(image)).toEqual({ code: 'UNKNOWN_FORMAT', message: expect.stringContaining(what) });
  });
});
