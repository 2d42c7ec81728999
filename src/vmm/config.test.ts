import { describe, expect, test } from 'vitest';
import { checkVmConfig, parseMemoryMib, type VmConfig } from './config.ts';

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
