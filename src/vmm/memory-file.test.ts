import { mkdtempSync, openSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { OwnedFd } from '../ffi/fd.unsafe.ts';
import { createMemfd, mapShared } from '../ffi/memory.unsafe.ts';
import { KIB, MIB } from '../lib/units.ts';
import { digestMemoryFile, readMemoryFile, writeMemoryFile } from './memory-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'tskata-memory-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Memory with a little in it: at its start, across a block's border, and at its end. */
function sampleMemory(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes.set([1, 2, 3]);
  bytes.fill(7, 64 * KIB - 5, 64 * KIB + 5);
  bytes[size - 1] = 9;
  return bytes;
}

async function write(name: string, sources: Parameters<typeof writeMemoryFile>[1]) {
  const path = join(folder, name);
  await using file = await open(path, 'wx');
  return { path, digest: await writeMemoryFile(file, sources) };
}

test('memory comes back as it was, from a file with holes', async () => {
  const [low, high] = [sampleMemory(9 * MIB), sampleMemory(MIB)];

  const { path, digest } = await write('both', [{ bytes: low }, { bytes: high }]);

  using fd = new OwnedFd(openSync(path, 'r'));
  const size = 10 * MIB;
  const read = new Uint8Array(size);
  readMemoryFile(fd.fd, { offset: 0, length: size }, (offset, length) => read.subarray(offset, offset + length));
  expect(digestMemoryFile(fd.fd, size)).toBe(digest);
  expect(Buffer.compare(read, Buffer.concat([low, high]))).toBe(0);
  expect(statSync(path).size).toBe(size);
  expect(statSync(path).blocks * 512).toBeLessThan(MIB);
});

test('a part of it is read alone', async () => {
  const [low, high] = [sampleMemory(MIB), sampleMemory(2 * MIB)];
  const { path } = await write('parts', [{ bytes: low }, { bytes: high }]);
  using fd = new OwnedFd(openSync(path, 'r'));
  const read = new Uint8Array(2 * MIB);

  readMemoryFile(fd.fd, { offset: MIB, length: 2 * MIB }, (offset, length) =>
    read.subarray(offset - MIB, offset - MIB + length),
  );

  expect(Buffer.compare(read, high)).toBe(0);
});

test('a memfd says which of its pages were never touched', async () => {
  using memfd = createMemfd('test', 64 * MIB);
  using mapping = mapShared(memfd.fd, 64 * MIB, 'test');
  mapping.bytes.set([1, 2, 3], 40 * MIB + 5000);

  const { path, digest } = await write('memfd', [{ bytes: mapping.bytes, fd: memfd.fd }]);

  const { digest: same } = await write('copied', [{ bytes: mapping.bytes.slice() }]);
  expect(same).toBe(digest);
  using fd = new OwnedFd(openSync(path, 'r'));
  expect(digestMemoryFile(fd.fd, 64 * MIB)).toBe(digest);
});

test('the digest is the same without holes, and another when a bit or a place changes', async () => {
  const bytes = sampleMemory(2 * MIB);
  const { digest } = await write('sparse', [{ bytes }]);
  const dense = join(folder, 'dense');
  writeFileSync(dense, bytes);
  using fd = new OwnedFd(openSync(dense, 'r+'));
  const flipped = bytes.with(MIB, 1);
  const moved = new Uint8Array(2 * MIB);
  moved.set(bytes.subarray(0, MIB), MIB);

  expect(digestMemoryFile(fd.fd, 2 * MIB)).toBe(digest);
  expect((await write('flipped', [{ bytes: flipped }])).digest).not.toBe(digest);
  expect((await write('moved', [{ bytes: moved }])).digest).not.toBe(digest);
});

test('a file that is shorter than it should be is refused, or has another digest', async () => {
  const { path, digest } = await write('cut', [{ bytes: sampleMemory(2 * MIB) }]);
  truncateSync(path, MIB);
  using fd = new OwnedFd(openSync(path, 'r'));

  expect(digestMemoryFile(fd.fd, 2 * MIB)).not.toBe(digest);
});
