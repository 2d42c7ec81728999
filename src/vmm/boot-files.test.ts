import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sampleBzImage, sampleElf } from '../arch/x86_64/testing/sample-images.ts';
import { BootFileError, BootFiles } from './boot-files.ts';

let folder: string;
const path = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tskata-boot-files-'));
  writeFileSync(path('vmlinux'), sampleElf());
  writeFileSync(path('half'), sampleBzImage().subarray(0, 2000));
  writeFileSync(path('vmlinux.gz'), Uint8Array.of(0x1f, 0x8b, 8, 0));
  writeFileSync(path('empty'), '');
  writeFileSync(path('huge-initrd'), '');
  truncateSync(path('huge-initrd'), 40 * 1024 * 1024);
  execFileSync('mkfifo', [path('fifo')]);
  symlinkSync('nowhere', path('broken-link'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What reading these files ends in; on a machine without KVM too. */
function refusal(kernelPath: string, initrdPath?: string): BootFileError {
  const initrd = initrdPath === undefined ? {} : { initrdPath };
  try {
    new BootFiles({ kernelPath, ...initrd, memoryMib: 32, cpus: 1 })[Symbol.dispose]();
  } catch (error) {
    expect(error).toBeInstanceOf(BootFileError);
    return error as BootFileError;
  }
  throw new Error('the files were taken');
}

describe('a kernel is refused with its path and the reason', () => {
  test.each([
    ['a folder', '.', 'UNREADABLE', 'regular file'],
    ['a pipe that nobody writes to', 'fifo', 'UNREADABLE', 'regular file'],
    ['a file that is not there', 'missing', 'UNREADABLE', 'ENOENT'],
    ['a link to nowhere', 'broken-link', 'UNREADABLE', 'ENOENT'],
    ['half a bzImage', 'half', 'TRUNCATED', 'the header promises'],
    ['a compressed vmlinux', 'vmlinux.gz', 'UNKNOWN_FORMAT', 'compressed with gzip'],
    ['an empty file', 'empty', 'UNKNOWN_FORMAT', '0 bytes'],
  ])('%s', (_, name, code, reason) => {
    const { code: found, message } = refusal(path(name));

    expect(found).toBe(code);
    expect(message).toContain(path(name));
    expect(message).toContain(reason);
  });

  test('a device that never ends', () => {
    expect(refusal('/dev/zero')).toMatchObject({ code: 'UNREADABLE', message: expect.stringContaining('/dev/zero') });
  });
});

describe('an initial RAM disk is refused likewise', () => {
  test('one that is larger than RAM: with both paths, for it may be the kernel that takes the room', () => {
    const { code, message } = refusal(path('vmlinux'), path('huge-initrd'));

    expect(code).toBe('NO_ROOM');
    expect(message).toContain(path('vmlinux'));
    expect(message).toContain(path('huge-initrd'));
  });

  test('a pipe', () => {
    expect(refusal(path('vmlinux'), path('fifo'))).toMatchObject({
      code: 'UNREADABLE',
      details: { path: path('fifo') },
    });
  });
});
