import { expect, test } from 'vitest';
import { ioWeightOfBlockWeight, weightOfShares } from './weights.ts';

test.each([
  [10, 1],
  [500, 4950],
  [1000, 10_000],
])('block weight %i is io.weight %i', (weight, ioWeight) => {
  expect(ioWeightOfBlockWeight(weight)).toBe(ioWeight);
});

// opencontainers/cgroups, ConvertCPUSharesToCgroupV2Value
test.each([
  [1, 1],
  [2, 1],
  [3, 2],
  [100, 17],
  [512, 59],
  [1000, 99],
  [1024, 100],
  [2048, 174],
  [262143, 10000],
  [262144, 10000],
  [1000000, 10000],
])('%i shares are weight %i', (shares, weight) => {
  expect(weightOfShares(shares)).toBe(weight);
});
