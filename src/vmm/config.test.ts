import { describe, expect, test } from 'vitest';
import { GIB, MIB } from '../lib/units.ts';
import { checkVmConfig, growthOf, type VmConfig } from './config.ts';

const valid = {
  kernelPath: '/vmlinux',
  commandLine: '',
  memoryMib: 128,
  cpus: 2,
  serial: false,
  disks: [{ path: '/disk', readOnly: false, id: 'root' }],
  shares: [{ tag: 'shared', directory: '/shared' }],
  vsock: { guestCid: 3, path: '/vsock.sock' },
  entropy: true,
} satisfies VmConfig;

describe('checkVmConfig', () => {
  test('takes a plausible VM', () => {
    expect(() => checkVmConfig(valid)).not.toThrow();
  });

  test.each<[string, Partial<VmConfig>, string]>([
    [
      'less at most than at first',
      { maxMemoryMib: 127 },
      'memory max (MiB) is 127; allowed is a whole number from 128',
    ],
    ['fewer CPUs at most than at first', { maxCpus: 1 }, 'cpus max is 1; allowed is a whole number from 2 to 32'],
    ['too many CPUs at most', { maxCpus: 33 }, 'cpus max is 33; allowed is a whole number from 2 to 32'],
    [
      'growth in huge pages of the pool',
      { maxMemoryMib: 256, hugePages: '2M' },
      'memory max is 256 MiB; allowed is the same as memory with huge pages of the pool',
    ],
    ['too little memory', { memoryMib: 31 }, 'memory (MiB) is 31; allowed is a whole number from 32 to 1048576'],
    ['no CPU', { cpus: 0 }, 'cpus is 0; allowed is a whole number from 1 to 32'],
    ['a fraction of a CPU', { cpus: 1.5 }, 'cpus is 1.5; allowed is a whole number from 1 to 32'],
    ['the address of the host', { vsock: { guestCid: 2, path: '/v' } }, 'vsock cid is 2; allowed is'],
    ['a tag that is too long', { shares: [{ tag: 'x'.repeat(37), directory: '/' }] }, '1 to 36 bytes without NUL'],
    ['two shares of one tag', { shares: [...valid.shares, ...valid.shares] }, 'a tag that no other share has'],
    ['a disk id that is too long', { disks: [{ path: '/d', readOnly: true, id: 'x'.repeat(21) }] }, 'at most 20 bytes'],
  ])('refuses %s and says what is allowed', (_what, change, message) => {
    expect(() => checkVmConfig({ ...valid, ...change })).toThrow(message);
  });
});

describe('growthOf', () => {
  test('is nothing for a VM that stays as it is', () => {
    expect(growthOf(valid)).toBeUndefined();
    expect(growthOf({ ...valid, maxMemoryMib: valid.memoryMib })).toBeUndefined();
  });

  test('is behind all other memory', () => {
    expect(growthOf({ ...valid, maxMemoryMib: 256 })).toEqual({ address: 4 * GIB, size: 2 * GIB, blockSize: 2 * MIB });
  });
});
