import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import type { Fd } from '../../lib/brand.ts';
import { PAGE_SIZE } from '../../lib/units.ts';
import type { HostMemory } from '../ports.ts';
import { mapFileMemory } from './file-memory.ts';

const FOLDER = mkdtempSync(join(tmpdir(), 'file-memory-'));
const FILE = join(FOLDER, 'memory');
const PAGES = 8;

/** A file whose page n is full of n + 1. */
function contents(pages: number): Uint8Array {
  const bytes = new Uint8Array(pages * PAGE_SIZE);
  for (let page = 0; page < pages; page++) bytes.fill(page + 1, page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
  return bytes;
}

function mapFile(pages = PAGES, offset = 0): HostMemory {
  const fd = openSync(FILE, 'r');
  try {
    return mapFileMemory(fd as Fd, offset, pages * PAGE_SIZE, 'test');
  } finally {
    closeSync(fd);
  }
}

/** The first byte of each page. */
function pagesOf(memory: HostMemory): number[] {
  return Array.from({ length: memory.bytes.length / PAGE_SIZE }, (_, page) => memory.bytes[page * PAGE_SIZE] ?? -1);
}

function discard(memory: HostMemory, page: number, count = 1): void {
  memory.discard(page * PAGE_SIZE, count * PAGE_SIZE);
}

/** Mappings of this process within a piece of memory. */
function mappingsIn(memory: HostMemory): number {
  const end = memory.hostAddress + BigInt(memory.bytes.length);
  return readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => BigInt(`0x${line.split('-')[0]}`))
    .filter((address) => address >= memory.hostAddress && address < end).length;
}

beforeEach(() => writeFileSync(FILE, contents(PAGES)));
afterAll(() => rmSync(FOLDER, { recursive: true }));

describe('memory mapped from a file', () => {
  test('has the bytes of the file, and keeps what is written to itself', () => {
    using memory = mapFile();
    using clone = mapFile();

    memory.bytes[3] = 99;
    clone.bytes[3] = 77;

    expect(pagesOf(memory)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect([memory.bytes[3], clone.bytes[3]]).toEqual([99, 77]);
    expect(Buffer.compare(readFileSync(FILE), contents(PAGES))).toBe(0);
  });

  test('can start inside the file', () => {
    using memory = mapFile(2, 3 * PAGE_SIZE);

    expect(pagesOf(memory)).toEqual([4, 5]);
  });

  test('is refused when it is not whole pages of the file', () => {
    expect(() => mapFile(PAGES + 1)).toThrow('the file has 32768 bytes only');
    expect(() => mapFile(1, 100)).toThrow('give multiples of 4096');
    expect(() => mapFile(0)).toThrow('give multiples of 4096');
  });
});

describe('what is discarded', () => {
  test('reads as zeros, whether it was written to or not; the rest and the file stay', () => {
    using memory = mapFile();
    memory.bytes[2 * PAGE_SIZE] = 99;
    memory.bytes[5 * PAGE_SIZE] = 55;

    discard(memory, 2, 2);

    expect(pagesOf(memory)).toEqual([1, 2, 0, 0, 5, 55, 7, 8]);
    expect(memory.bytes.subarray(2 * PAGE_SIZE, 4 * PAGE_SIZE).every((byte) => byte === 0)).toBe(true);
    expect(Buffer.compare(readFileSync(FILE), contents(PAGES))).toBe(0);
  });

  test('can be written again and discarded again, in part and with its neighbours', () => {
    using memory = mapFile();
    discard(memory, 2, 2);
    memory.bytes[2 * PAGE_SIZE] = 22;
    memory.bytes[3 * PAGE_SIZE] = 33;

    discard(memory, 3, 2);
    const afterNeighbour = pagesOf(memory);
    discard(memory, 2);

    expect(afterNeighbour).toEqual([1, 2, 22, 0, 0, 6, 7, 8]);
    expect(pagesOf(memory)).toEqual([1, 2, 0, 0, 0, 6, 7, 8]);
  });

  test('costs no more mappings than there are ranges, in whatever order they grow together', () => {
    using memory = mapFile();

    for (const page of [1, 3, 5]) {
      discard(memory, page);
      memory.bytes[page * PAGE_SIZE] = 1;
    }
    const apart = mappingsIn(memory);
    for (const page of [4, 2]) discard(memory, page);

    expect(apart).toBe(7);
    expect(mappingsIn(memory)).toBe(3);
    expect(pagesOf(memory)).toEqual([1, 1, 0, 1, 0, 1, 7, 8]);
  });

  test('every second page of a large memory leaves this process room for mappings', () => {
    const pages = 20_000;
    writeFileSync(FILE, contents(pages));
    using memory = mapFile(pages);

    for (let page = 0; page < pages; page += 2) discard(memory, page);

    expect(mappingsIn(memory)).toBeLessThanOrEqual(2 * 8192 + 1);
    expect(pagesOf(memory).every((byte, page) => byte === (page % 2 === 0 ? 0 : (page + 1) & 0xff))).toBe(true);
  }, 60_000);

  test('must be pages inside the memory', () => {
    using memory = mapFile();

    expect(() => discard(memory, PAGES)).toThrow(RangeError);
    expect(() => discard(memory, -1)).toThrow(RangeError);
    expect(() => memory.discard(100, PAGE_SIZE)).toThrow(RangeError);
  });
});
