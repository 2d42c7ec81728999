import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { GIB, MIB, PAGE_SIZE } from '../../lib/units.ts';
import { allocateHostMemory } from './host-memory.ts';

/** Pages of the kernel's pool that are free, by their size; none where the processor has no such pages. */
function freeHugePages(kib: number): number {
  const file = `/sys/kernel/mm/hugepages/hugepages-${kib}kB/free_hugepages`;
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
}

/** The flags of the mapping that starts at an address, as /proc/self/smaps has them. */
function flagsAt(address: bigint): string[] {
  const smaps = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const entry = smaps.find((text) => text.startsWith(`${address.toString(16)}-`));
  return (
    /^VmFlags: (.*)$/m
      .exec(entry ?? '')?.[1]
      ?.trim()
      .split(' ') ?? []
  );
}

/** Bytes of an address range that have memory. */
function residentBytes(address: bigint): number {
  const smaps = readFileSync('/proc/self/smaps', 'utf8');
  const entry = smaps.slice(smaps.indexOf(`${address.toString(16)}-`));
  return Number(/^Rss: +(\d+) kB$/m.exec(entry)?.[1]) * 1024;
}

describe.each([true, false])('guest memory with shared %s', (shared) => {
  test('costs nothing before it is touched, and stays out of core dumps', () => {
    using memory = allocateHostMemory(64 * MIB, { shared, name: 'test' });

    expect(residentBytes(memory.hostAddress)).toBe(0);
    expect(flagsAt(memory.hostAddress)).toContain('dd');
  });

  test('is all there when it is prefaulted', () => {
    using memory = allocateHostMemory(4 * MIB, { shared, name: 'test', prefault: true });

    expect(residentBytes(memory.hostAddress)).toBe(4 * MIB);
  });

  test('is aligned and advised for transparent huge pages', () => {
    using memory = allocateHostMemory(6 * MIB, { shared, name: 'test', hugePages: 'transparent' });
    memory.bytes[6 * MIB - 1] = 1;

    expect(memory.hostAddress % BigInt(2 * MIB)).toBe(0n);
    expect(flagsAt(memory.hostAddress)).toContain('hg');
    expect(memory.fd !== undefined).toBe(shared);
  });

  test('is taken in huge pages where it is collapsed, and keeps its bytes', () => {
    using memory = allocateHostMemory(16 * MIB, { shared, name: 'test' });
    memory.bytes[5 * MIB] = 7;

    memory.collapse(4 * MIB, 8 * MIB);

    expect(residentBytes(memory.hostAddress)).toBe(8 * MIB);
    expect(memory.bytes[5 * MIB]).toBe(7);
    memory.discard(6 * MIB, PAGE_SIZE);
    expect([memory.bytes[5 * MIB], memory.bytes[6 * MIB]]).toEqual([7, 0]);
  });

  test('that the huge pages do not suffice for is refused with what to do', () => {
    const size = (freeHugePages(2048) + 1000) * 2 * MIB;

    expect(() => allocateHostMemory(size, { shared, name: 'test', hugePages: '2M' })).toThrow(
      /free huge pages of 2M: raise the number in \/proc\/sys\/vm\/nr_hugepages, or do without huge pages/,
    );
  });

  test('must be whole huge pages', () => {
    const options = { shared, name: 'test' } as const;

    expect(() => allocateHostMemory(3 * MIB, { ...options, hugePages: '2M' })).toThrow('give a multiple of 2097152');
    expect(() => allocateHostMemory(GIB + MIB, { ...options, hugePages: '1G' })).toThrow(
      'give a multiple of 1073741824',
    );
    expect(() => allocateHostMemory(100, options)).toThrow('give a multiple of 4096');
  });

  test.skipIf(freeHugePages(2048) < 2)(
    'is made of huge pages (skipped where fewer than two are free: /proc/sys/vm/nr_hugepages)',
    () => {
      using memory = allocateHostMemory(4 * MIB, { shared, name: 'test', hugePages: '2M' });
      memory.bytes.fill(7);

      memory.discard(MIB, 3 * MIB);

      expect(flagsAt(memory.hostAddress)).toContain('ht');
      expect([memory.bytes[MIB - 1], memory.bytes[MIB], memory.bytes[2 * MIB]]).toEqual([7, 0, 0]);
      expect(memory.bytes.subarray(MIB).every((byte) => byte === 0)).toBe(true);
    },
  );

  test('that is discarded in part keeps the rest', () => {
    using memory = allocateHostMemory(4 * PAGE_SIZE, { shared, name: 'test' });
    memory.bytes.fill(7);

    memory.discard(PAGE_SIZE, 2 * PAGE_SIZE);

    expect([0, 1, 2, 3].map((page) => memory.bytes[page * PAGE_SIZE])).toEqual([7, 0, 0, 7]);
  });
});

test('no 1 GiB pages: the advice names their file and the kernel parameters', () => {
  const size = (freeHugePages(1_048_576) + 100) * GIB;

  expect(() => allocateHostMemory(size, { shared: true, name: 'test', hugePages: '1G' })).toThrow(
    /hugepages-1048576kB\/nr_hugepages \(or hugepagesz=1G hugepages=\d+ on the host's kernel command line\)/,
  );
});
