import { describe, expect, test } from 'vitest';
import { parseMemoryMib, readCpus, readMemory } from './sizes.ts';

describe('parseMemoryMib', () => {
  test.each([
    ['128M', 128],
    ['128', 128],
    ['2G', 2048],
    ['1t', 1048576],
    ['64MiB', 64],
  ])('reads %s', (text, mib) => {
    expect(parseMemoryMib(text)).toBe(mib);
  });

  test.each(['', 'M', '-1M', '1.5G', '12K', '1 G', '99999999999999999G'])('refuses %j', (text) => {
    expect(() => parseMemoryMib(text)).toThrow('a size such as 128M or 2G');
  });
});

describe('readMemory', () => {
  test.each([
    [256, { memoryMib: 256 }],
    ['1G', { memoryMib: 1024 }],
    ['256M,max=4G', { memoryMib: 256, maxMemoryMib: 4096 }],
    ['size=64,max=128', { memoryMib: 64, maxMemoryMib: 128 }],
    [
      { size: '64M', max: 128 },
      { memoryMib: 64, maxMemoryMib: 128 },
    ],
  ])('reads %j', (source, expected) => {
    expect(readMemory(source)).toEqual(expected);
  });

  test.each([
    ['max=1G', /memory size is missing/],
    ['256M,max', /memory max is given without a value/],
    ['256M,most=1G', /memory option is "most"; allowed is size, max/],
    ['256M,max=1K', /a size such as 128M or 2G/],
  ])('refuses %s', (source, message) => {
    expect(() => readMemory(source)).toThrow(message);
  });
});

describe('readCpus', () => {
  test.each([
    [2, { cpus: 2 }],
    ['2,max=8', { cpus: 2, maxCpus: 8 }],
    [
      { count: 1, max: 4 },
      { cpus: 1, maxCpus: 4 },
    ],
  ])('reads %j', (source, expected) => {
    expect(readCpus(source)).toEqual(expected);
  });

  test.each([
    ['max=8', /cpus count is missing/],
    ['two', /cpus count is "two"; allowed is a whole number/],
    ['2,max=1.5', /cpus max is "1.5"; allowed is a whole number/],
  ])('refuses %s', (source, message) => {
    expect(() => readCpus(source)).toThrow(message);
  });
});
