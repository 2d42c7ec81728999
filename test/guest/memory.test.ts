// What guest memory is made of on the host.
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildVm, type VmConfig } from '../../src/index.ts';
import { runVm } from './library-harness.ts';
import { KERNEL, QUIET, useGuestFiles } from './tsvm-harness.ts';

const POOL = '/proc/sys/vm/nr_hugepages';
const files = useGuestFiles();
let before: string;

beforeAll(() => {
  before = readFileSync(POOL, 'utf8');
});
afterAll(() => writeFileSync(POOL, before));

/** Pages of the pool that nobody has, nor has reserved. */
function freePages(): number {
  const field = (name: string): number =>
    Number(new RegExp(`^${name}: +(\\d+)`, 'm').exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]);
  return field('HugePages_Free') - field('HugePages_Rsvd');
}

const machine = (hugePages?: VmConfig['hugePages']): VmConfig => ({
  kernelPath: KERNEL,
  initrdPath: files.initramfs('memory', 'echo "up with $(grep MemTotal /proc/meminfo)"; sleep 1000'),
  commandLine: QUIET,
  memoryMib: 64,
  cpus: 1,
  serial: true,
  ...(hugePages === undefined ? {} : { hugePages }),
});

/** MiB of guest memory that this process has mapped by huge pages. */
function hugeMib(): number {
  const maps = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const kib = maps.filter((text) => text.includes('guest-ram')).map((text) => /ShmemPmdMapped: +(\d+)/.exec(text)?.[1]);
  return kib.reduce((sum, value) => sum + Number(value), 0) / 1024;
}

test('a guest lives in huge pages of the pool, which are free again after it', async () => {
  writeFileSync(POOL, '40');
  const free = freePages();
  expect(free).toBeGreaterThanOrEqual(32);
  {
    await using running = await runVm((connections) => buildVm(machine('2M'), connections));
    await running.printed('up with MemTotal');
    expect(free - freePages()).toBe(32);
  }
  expect(freePages()).toBe(free);
});

test('of ordinary memory, what Linux takes first is in huge pages', async () => {
  await using running = await runVm((connections) => buildVm(machine(), connections));
  await running.printed('up with MemTotal');
  // With the initial RAM disk, which has most of the last 2 MiB.
  expect(hugeMib()).toBe(2 + 28 + 2);
});

test('a pool that is too small is named before the guest starts', async () => {
  writeFileSync(POOL, '3');

  await expect(buildVm(machine('2M'), { log: () => undefined })).rejects.toThrow(
    /it needs 32 free huge pages of 2M: raise the number in \/proc\/sys\/vm\/nr_hugepages/,
  );
});
