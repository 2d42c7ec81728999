import { zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { unpackKernel } from './build.ts';

/** A bzImage with two setup sectors behind the first, and a payload behind 16 bytes of protected-mode code. */
function bzImage(payload: Buffer): Buffer {
  const head = Buffer.alloc(3 * 512 + 16);
  head.writeUInt8(2, 0x1f1);
  head.writeUInt32LE(16, 0x248);
  head.writeUInt32LE(payload.length + 4, 0x24c);
  return Buffer.concat([head, payload, Buffer.alloc(4), Buffer.from('behind')]);
}

describe('unpackKernel', () => {
  test('gives the file that the image holds', () => {
    expect(unpackKernel(bzImage(zstdCompressSync(Buffer.from('an ELF file')))).toString()).toBe('an ELF file');
  });

  test('gives an image that is packed otherwise as it is', () => {
    const image = bzImage(Buffer.from('\xfd7zXZ'));

    expect(unpackKernel(image)).toBe(image);
  });
});
