// Shared folders as a guest sees them: what programs rely on of a file system, with the host at work on the same files.
import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Checks, startToolsGuest, TOOLS_GUEST_TIMEOUT_MS, type ToolsGuest } from './tools-guest.ts';
import { useGuestFiles } from './tsvm-harness.ts';

const files = useGuestFiles();
const APPENDS = 150;

/** What the program of the guest asks of the host. */
async function helpGuest(guest: ToolsGuest, data: string): Promise<void> {
  await guest.said('READY for the host to append');
  writeFileSync(join(data, 'host-appends'), '');
  for (let index = 0; index < APPENDS; index++) {
    appendFileSync(join(data, 'appended'), `host ${String(index).padStart(3, '0')}\n`);
    if (index % 10 === 0) await sleep(5);
  }
  writeFileSync(join(data, 'host-has-appended'), '');
  while (guest.exitCode === null && !existsSync(join(data, 'ask-host'))) await sleep(20);
  writeFileSync(join(data, 'answer'), 'old');
  await sleep(200);
  writeFileSync(join(data, 'answer'), 'new and longer');
}

describe('the shared folders of a guest', () => {
  let checks: Checks = new Map();
  let data = '';
  let second = '';
  let readOnly = '';

  beforeAll(async () => {
    [data, second, readOnly] = ['data', 'second', 'readonly'].map((name) => files.path(name)) as [
      string,
      string,
      string,
    ];
    for (const folder of [data, second, readOnly, join(data, 'large'), join(data, 'full')]) mkdirSync(folder);
    for (let index = 0; index < 10_000; index++) {
      writeFileSync(join(data, 'large', `entry-${String(index).padStart(5, '0')}`), '');
    }
    writeFileSync(join(data, 'full', 'file'), '');
    writeFileSync(join(data, 'appended'), '');
    writeFileSync(join(readOnly, 'file'), 'from the host');
    symlinkSync('/etc/hostname', join(data, 'to-etc-hostname'));
    const shares = [`data=${data}`, `second=${second}`, `readonly=${readOnly},ro`];
    const guest = startToolsGuest(files, 'fs.py', ...shares.flatMap((share) => ['--share', share]));
    await helpGuest(guest, data);
    checks = await guest.checks;
  }, TOOLS_GUEST_TIMEOUT_MS);

  test.each([
    'renames over a file, exchanging two, not replacing, of folders, of what is open',
    'a file that is unlinked while it is open lives on',
    'shared mappings are written and read back',
    'extended attributes and ACLs',
    'POSIX locks exclude other processes, range by range',
    'flock excludes other open files',
    'a folder of 10000 entries is listed whole, by pieces and while it changes',
    'hard and symbolic links',
    'sparse files, truncation and space',
    'appends of the host and of two guest processes lose nothing',
    'changes of the host are seen',
    'modes, owners, times, special files',
    "statfs tells the sizes of the host's file system",
    'a large file is written and read whole',
    'a share that is read-only can be read, and changes in no way',
    'shares are apart',
  ])('%s', (name) => {
    expect(checks.get(name)).toBe('ok');
  });

  test('the host finds what the guest wrote', () => {
    const large = readFileSync(join(data, 'large-file'));

    expect(readFileSync(join(data, 'mapped')).subarray(60_000, 60_006).toString()).toBe('second');
    expect([large.length, large[0], large[15 << 20]]).toEqual([16 << 20, 0, 15]);
    expect(readFileSync(join(second, 'only-here'), 'utf8')).toBe('second');
    expect(statSync(join(data, 'nodes/file')).uid).toBe(1000);
    expect(statSync(join(readOnly, 'file')).size).toBe('from the host'.length);
  });
});
