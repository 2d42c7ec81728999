import { expect, test } from 'vitest';
import { sizeWithin } from './kvm-vm.ts';

const MACHINE = { memoryMib: 128, maxMemoryMib: 512, maxCpus: 4 };

test.each([
  [
    { memoryMib: 300, cpus: 3 },
    { memoryMib: 300, cpus: 3 },
  ],
  [{ memoryMib: 100 }, { memoryMib: 128 }],
  [{ memoryMib: 1000 }, { memoryMib: 512 }],
  [{ cpus: 8 }, { cpus: 4 }],
  [{}, {}],
])('of the size %j a machine can have %j', (wanted, expected) => {
  expect(sizeWithin(MACHINE, wanted)).toEqual(expected);
});
