import { array, integer, property, assert as propertyAssert, tuple } from 'fast-check';
import { expect, test } from 'vitest';
import { PageRanges } from './page-ranges.ts';

const SPACE = 64;
const range = tuple(integer({ min: 0, max: SPACE - 2 }), integer({ min: 1, max: 8 })).map(
  ([start, length]) => [start, Math.min(start + length, SPACE)] as const,
);

test('holds what was added, in as few ranges as there are gaps', () => {
  propertyAssert(
    property(array(range), range, (added, asked) => {
      const pages = new Array<boolean>(SPACE).fill(false);
      for (const [start, end] of added) pages.fill(true, start, end);
      const ranges = new PageRanges();

      for (const [start, end] of added) ranges.add(start, end);

      expect(ranges.count).toBe(pages.filter((isIn, page) => isIn && pages[page - 1] !== true).length);
      expect(ranges.covers(...asked)).toBe(pages.slice(...asked).every(Boolean));
    }),
  );
});

test('a range that touches the set makes no range more', () => {
  propertyAssert(
    property(array(range), range, (added, asked) => {
      const ranges = new PageRanges();
      for (const [start, end] of added) ranges.add(start, end);
      const { count } = ranges;
      const touches = ranges.touches(...asked);

      ranges.add(...asked);

      expect(touches).toBe(ranges.count <= count);
    }),
  );
});
