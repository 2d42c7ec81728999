import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { SYSCALLS } from './syscalls.gen.ts';

/** Of linux-libc-dev, which the compiler needs: `npm test` installs it. */
const HEADERS = '/usr/include/x86_64-linux-gnu/asm';

/** Came with Linux 6.11 to a number that had been left free. */
const LATE_COMERS = ['uretprobe'];

/** Numbers by name, of calls that the headers and the table may both know: one of the two is of the newer kernel. */
function common(table: Readonly<Record<string, number>>, newest: number): [string, number][] {
  return Object.entries(table)
    .filter(([name, number]) => number <= newest && !LATE_COMERS.includes(name))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function readHeader(file: string): Record<string, number> {
  const text = readFileSync(`${HEADERS}/${file}`, 'utf8');
  const lines = text.matchAll(/^#define __NR_(\w+) (?:\(__X32_SYSCALL_BIT \+ )?(\d+)\)?$/gm);
  return Object.fromEntries([...lines].map(([, name = '', number]) => [name, Number(number)]));
}

/** The newest call that all architectures have: they share their numbers from 424 to 511. */
function newest(table: Readonly<Record<string, number>>): number {
  return Math.max(...Object.values(table).filter((number) => number < 512));
}

describe.each([
  { architecture: 'x86_64', file: 'unistd_64.h' },
  { architecture: 'i386', file: 'unistd_32.h' },
  { architecture: 'x32', file: 'unistd_x32.h' },
] as const)('the system calls of $architecture', ({ architecture, file }) => {
  test("have the numbers of this machine's kernel headers", () => {
    const header = readHeader(file);
    const table: Readonly<Record<string, number>> = SYSCALLS[architecture];

    const limit = Math.min(newest(header), newest(table));

    expect(common(table, limit)).toEqual(common(header, limit));
    expect(limit).toBeGreaterThan(400);
  });

  test("reach to the guest kernel's newest", () => {
    expect(SYSCALLS[architecture].mseal).toBe(462);
    expect(newest(SYSCALLS[architecture])).toBe(462);
  });
});

test('x32 has the calls of its own as well', () => {
  expect(SYSCALLS.x32.pwritev2).toBe(547);
});
