import { expect, test } from 'vitest';
import { largerOf } from './update-size.ts';

test('on the way from one size to another a VM has the greater of each part', () => {
  expect(largerOf({ memoryMib: 256, cpus: 4 }, { memoryMib: 512, cpus: 1 })).toEqual({ memoryMib: 512, cpus: 4 });
});
