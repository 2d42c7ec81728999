import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OwnedFd } from './fd.unsafe.ts';
import { IoVector, MAX_BUFFERS } from './iovec.unsafe.ts';
import { mapAnonymous } from './memory.unsafe.ts';
import { errnoName } from './system-error.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tskata-iovec-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content = ''): { readonly path: string; readonly owned: OwnedFd } {
  const path = join(folder, name);
  writeFileSync(path, content);
  return { path, owned: new OwnedFd(openSync(path, 'r+')) };
}

test('fills pieces of several memories one after the other', () => {
  const { owned } = file('read', 'abcdefghij');
  using fd = owned;
  using mapping = mapAnonymous(4096, 'a test');
  const heap = new Uint8Array(16);
  const buffers = [
    heap.subarray(1, 3),
    mapping.bytes.subarray(100, 105),
    heap.subarray(8, 9),
    mapping.bytes.subarray(0, 9),
  ];
  const length = new IoVector().read(fd.fd, buffers);
  expect(length).toBe(10);
  expect(Buffer.concat(buffers).subarray(0, length).toString()).toBe('abcdefghij');
  expect(heap[0]).toBe(0);
});

test('writes one buffer and those behind it, again and again', () => {
  const { path, owned } = file('write');
  using fd = owned;
  const vector = new IoVector();
  const lengths = [
    vector.write(fd.fd, Buffer.from('head '), [Buffer.from('and '), Buffer.from('tail')]),
    vector.write(fd.fd, Buffer.from('.'), []),
  ];
  expect(lengths).toEqual([13, 1]);
  expect(readFileSync(path, 'utf8')).toBe('head and tail.');
});

test('touches nothing of memory that was taken away', () => {
  const { path, owned } = file('revoked');
  using fd = owned;
  const vector = new IoVector();
  const mapping = mapAnonymous(4096, 'a test');
  const piece = mapping.bytes.subarray(0, 10);
  vector.write(fd.fd, piece, []);
  mapping[Symbol.dispose]();
  expect(vector.write(fd.fd, Buffer.from('x'), [piece])).toBe(1);
  expect(readFileSync(path)).toHaveLength(11);
});

test('gives the errno of a call that failed', () => {
  using fd = new OwnedFd(openSync(folder, 'r'));
  const vector = new IoVector();
  expect(errnoName(-vector.read(fd.fd, [new Uint8Array(4)]))).toBe('EISDIR');
  expect(errnoName(-vector.write(fd.fd, new Uint8Array(4), []))).toBe('EBADF');
});

test('takes no more buffers than the kernel does', () => {
  const { owned } = file('many');
  using fd = owned;
  const buffers = Array.from({ length: MAX_BUFFERS }, () => new Uint8Array(1));
  const vector = new IoVector();
  expect(vector.write(fd.fd, new Uint8Array(1), buffers.slice(1))).toBe(MAX_BUFFERS);
  expect(() => vector.write(fd.fd, new Uint8Array(1), buffers)).toThrow(RangeError);
});
