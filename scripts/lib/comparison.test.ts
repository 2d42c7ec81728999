import { describe, expect, test } from 'vitest';
import { type Comparison, comparisonSvg, comparisonTable, median } from './comparison.ts';

const sample: Comparison = {
  title: 'a figure',
  unit: 'ms',
  entries: [
    { name: 'ours', samples: [20, 30, 100] },
    { name: 'theirs', samples: [10, 15, 10] },
  ],
};

describe('median', () => {
  test.each([
    [[3], 3],
    [[4, 1, 9], 4],
    [[4, 1, 9, 6], 5],
  ])('of %j is %d', (values, expected) => {
    expect(median(values)).toBe(expected);
  });
});

describe('a comparison', () => {
  test('has a line for each competitor, and the median of the ratios turn by turn', () => {
    expect(comparisonTable(sample).split('\n')).toEqual([
      '                  median       least        most  ratio',
      'ours               30 ms       20 ms      100 ms  ',
      'theirs             10 ms       10 ms       15 ms  ours / theirs = 2.00',
    ]);
  });

  test('has a bar for each competitor', () => {
    expect(comparisonSvg(sample).match(/<rect x=/g)).toHaveLength(2);
  });
});
