import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VIRTIO_BALLOON_S_MEMFREE, VIRTIO_BALLOON_S_MEMTOT } from '../abi.gen.ts';
import { encodeStatistics } from '../testing/balloon-guest.ts';
import { BALLOON_PAGE_SIZE } from './config-space.ts';
import { decodeStatistics, pageRanges, wholePages } from './request.ts';

const ranges = (pages: readonly number[]) =>
  pageRanges(new Uint8Array(Uint32Array.from(pages).buffer)).map(
    ({ address, length }) => [address / BALLOON_PAGE_SIZE, length / BALLOON_PAGE_SIZE] as const,
  );

describe('a list of page numbers', () => {
  test.each([
    [[], []],
    [[5], [[5, 1]]],
    [
      [9, 8, 7, 3],
      [
        [3, 1],
        [7, 3],
      ],
    ],
    [[1, 1, 2, 2], [[1, 2]]],
    [
      [0, 0xffff_ffff, 0xffff_fffe],
      [
        [0, 1],
        [0xffff_fffe, 2],
      ],
    ],
  ])('%j is the ranges %j', (pages, expected) => {
    expect(ranges(pages)).toEqual(expected);
  });

  test('is the same pages as ranges, in order and apart', () => {
    const page = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 0xffff_ffff }));
    fc.assert(
      fc.property(fc.array(page, { maxLength: 60 }), (pages) => {
        const found = ranges(pages);
        const listed = found.flatMap(([first, count]) => Array.from({ length: count }, (_, index) => first + index));
        expect(listed).toEqual([...new Set(pages)].toSorted((a, b) => a - b));
        for (const [index, [first]] of found.slice(1).entries()) {
          expect(first).toBeGreaterThan((found[index]?.[0] ?? 0) + (found[index]?.[1] ?? 0));
        }
      }),
    );
  });
});

test.each([
  [0, 4096, 0, 4096],
  [1, 4096, undefined, undefined],
  [1, 8192, 4096, 4096],
  [4095, 8193, 4096, 8192],
])('of %i and %i bytes the whole pages are %s and %s', (address, length, start, whole) => {
  expect(wholePages({ address, length })).toEqual(start === undefined ? undefined : { address: start, length: whole });
});

describe('statistics', () => {
  test('are read by their tags; unknown ones and what is cut off are left out', () => {
    const bytes = encodeStatistics([
      [VIRTIO_BALLOON_S_MEMTOT, 1024n],
      [999, 7n],
      [VIRTIO_BALLOON_S_MEMFREE, 512n],
      [VIRTIO_BALLOON_S_MEMFREE, 99n],
    ]);
    expect(decodeStatistics(bytes.subarray(0, -1))).toEqual({ total_memory_bytes: 1024, free_memory_bytes: 512 });
  });

  test('may be anything', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(Object.values(decodeStatistics(bytes)).every((value) => typeof value === 'number')).toBe(true);
      }),
    );
  });
});
