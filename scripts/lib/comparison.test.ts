import { describe, expect, test } from 'vitest';
import { type Comparison, comparisonSvg, comparisonTable, median } from './comparison.ts';

const sample: Comparison = {
  title: 'a figure',
  unit: 'ms',
  entries: [
    { name: 'ours', samples: [20, 30, 100] },
    { name: 'theirs', samples: [10, 15, 8] },
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
  test('has a line for each competitor, and the ratios turn by turn', () => {
    expect(comparisonTable(sample).split('\n')).toEqual([
      'a figure (less is better)',
      '                median         least          most  ratio (least to most)',
      'ours             30 ms         20 ms        100 ms',
      'theirs           10 ms          8 ms         15 ms  ours / theirs = 2.00 (2.00 to 12.50)',
    ]);
  });

  test('says when more is better', () => {
    expect(comparisonTable({ ...sample, better: 'more' })).toMatch(/^a figure \(more is better\)\n/);
  });

  test('has a bar for each competitor, one comparison below the other', () => {
    const picture = comparisonSvg([sample, { ...sample, title: 'another figure' }]);
    expect(picture.match(/<rect x=/g)).toHaveLength(4);
    expect(picture).toContain('height="264"');
  });

  test('has bars of no length when all figures are 0', () => {
    expect(comparisonSvg([{ ...sample, entries: [{ name: 'ours', samples: [0] }] }])).not.toContain('NaN');
  });
});
