// Disks as a guest sees them, in every mode: what is written is there, and what the host cannot do reaches the guest as an
// error of that request only.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MIB } from '../../src/lib/units.ts';
import { type Checks, startToolsGuest, TOOLS_GUEST_TIMEOUT_MS } from './tools-guest.ts';
import { type Ended, useGuestFiles } from './tsvm-harness.ts';

const files = useGuestFiles();
const DISK_SIZE = 24 * MIB;

function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8' }).trim();
}

/** Mounts and devices to be undone, the last one first. */
const undo: (() => void)[] = [];

/** A file of zeros without space. */
function sparse(path: string, size: number): string {
  writeFileSync(path, '');
  truncateSync(path, size);
  return path;
}

/** An ext4 file system on blocks of 4 KiB: there transfers past the page cache are of such blocks. */
function mountLargeBlocks(): string {
  const image = sparse(files.path('blocks.img'), 64 * MIB);
  const loop = run('losetup', '--find', '--show', '--sector-size', '4096', image);
  undo.push(() => run('losetup', '--detach', loop));
  run('mkfs.ext4', '-q', loop);
  return mount('large-blocks', loop);
}

function mount(name: string, source: string, ...options: readonly string[]): string {
  const folder = files.path(name);
  mkdirSync(folder);
  run('mount', ...options, source, folder);
  undo.push(() => run('umount', folder));
  return folder;
}

describe('the disks of a guest', () => {
  let checks: Checks = new Map();
  let ended: Ended | undefined;
  let writeback = '';

  beforeAll(async () => {
    writeback = sparse(files.path('writeback.img'), DISK_SIZE);
    const direct = sparse(join(mountLargeBlocks(), 'direct.img'), DISK_SIZE);
    const sync = sparse(files.path('sync.img'), DISK_SIZE);
    const full = sparse(join(mount('full', 'tmpfs', '-t', 'tmpfs', '-o', 'size=4m'), 'full.img'), 8 * MIB);
    const short = sparse(files.path('short.img'), 4 * MIB);
    const readOnly = files.path('readonly.img');
    writeFileSync(readOnly, 'read only\n'.repeat(512));
    const disks = [
      `${writeback},id=writeback`,
      `${direct},id=direct,cache=direct`,
      `${sync},id=sync,cache=sync`,
      `${readOnly},id=readonly,ro`,
      `${full},id=full`,
      `${short},id=short`,
    ];
    const guest = startToolsGuest(files, 'block.py', ...disks.flatMap((disk) => ['--disk', disk]));
    await guest.said('READY to be truncated');
    truncateSync(short, MIB);
    checks = await guest.checks;
    ended = await guest.ended;
  }, TOOLS_GUEST_TIMEOUT_MS);

  afterAll(() => {
    for (const step of undo.splice(0).reverse()) step();
  });

  test.each([
    'ids, sizes, read-only flags and block sizes are what was asked for',
    'fio verifies random writes of many sizes to three disks at once',
    'unaligned buffers arrive at their place, whatever the mode',
    'flush',
    'discarded and zeroed ranges read as zeros, and nothing beside them',
    'a read-only disk is read, and refuses writes and discards',
    'ext4 is made, used and clean',
    'a disk whose host is full fails writes, and goes on',
    'reads of what the host has truncated fail, the rest is still there',
  ])('%s', (name) => {
    expect(checks.get(name)).toBe('ok');
  });

  test('the host finds what was written and flushed', () => {
    const at = 20 * MIB;

    expect(
      readFileSync(writeback)
        .subarray(at, at + 17)
        .toString(),
    ).toBe('flushed writeback');
  });

  test('the host got the space of discarded ranges back', () => {
    // 4 MiB of fio, 1 MiB or so of the other checks, and half a MiB of each of two that went.
    const bytes = statSync(writeback).blocks * 512;

    expect(bytes).toBeLessThan(7 * MIB);
    expect(statSync(writeback).size).toBe(DISK_SIZE);
  });

  test('tsvm told of the failed requests, and ended well', () => {
    expect(ended?.status).toBe(0);
    expect(ended?.stderr).toContain('full.img');
    expect(ended?.stderr).toContain('ends at byte');
  });
});
