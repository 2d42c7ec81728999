import { ftruncateSync, readFileSync, readSync, writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createMemfd, mapAnonymous, mapShared } from './memory.unsafe.ts';

const PAGE = 4096;

test('a memfd and its mapping are the same bytes', () => {
  using memfd = createMemfd('ffi-test', 2 * PAGE);
  using mapping = mapShared(memfd.fd, 2 * PAGE, 'test');
  mapping.bytes[PAGE] = 7;
  writeSync(memfd.fd, Uint8Array.of(9), 0, 1, 5);
  const back = new Uint8Array(1);

  readSync(memfd.fd, back, 0, 1, PAGE);

  expect(back[0]).toBe(7);
  expect(mapping.bytes[5]).toBe(9);
});

test('the size of a memfd cannot be changed by whoever gets it', () => {
  using memfd = createMemfd('ffi-test', 2 * PAGE);

  expect(() => ftruncateSync(memfd.fd, PAGE)).toThrow('EPERM');
  expect(() => ftruncateSync(memfd.fd, 3 * PAGE)).toThrow('EPERM');
});

test('discarded pages read as zeros, the others stay', () => {
  using memfd = createMemfd('ffi-test', 2 * PAGE);
  using mapping = mapShared(memfd.fd, 2 * PAGE, 'test');
  mapping.bytes.fill(1);

  mapping.discard(PAGE, PAGE, true);

  expect(mapping.bytes[PAGE - 1]).toBe(1);
  expect(mapping.bytes[PAGE]).toBe(0);
});

test('a discard outside of the mapping is refused', () => {
  using mapping = mapAnonymous(PAGE, 'test');

  expect(() => mapping.discard(0, 2 * PAGE, false)).toThrow(RangeError);
});

test('64 GiB can be mapped, since nothing is reserved', () => {
  using mapping = mapAnonymous(64 * 2 ** 30, 'a large guest');

  mapping.bytes[64 * 2 ** 30 - 1] = 1;

  expect(mapping.bytes.length).toBe(64 * 2 ** 30);
});

test('a disposed mapping is gone, and its views are empty', () => {
  const mapping = mapAnonymous(PAGE, 'test');
  const address = mapping.address.toString(16);
  const view = new Uint8Array(mapping.bytes.buffer, 16, 16);

  mapping[Symbol.dispose]();
  mapping[Symbol.dispose]();

  expect(view.length).toBe(0);
  expect(readFileSync('/proc/self/maps', 'utf8')).not.toContain(`${address}-`);
});
