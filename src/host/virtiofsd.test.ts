import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Virtiofsd, virtiofsdArguments } from './virtiofsd.ts';

test('both programs serve in a chroot, with submounts announced and attributes kept', () => {
  expect(virtiofsdArguments('rust', '/shared', '/run/fs.sock')).toEqual(
    expect.arrayContaining(['--shared-dir=/shared', '--sandbox=chroot', '--announce-submounts', '--posix-acl']),
  );
  expect(virtiofsdArguments('c', '/shared', '/run/fs.sock')).toContain(
    'source=/shared,sandbox=chroot,cache=auto,xattr,posix_acl,announce_submounts,log_level=warn',
  );
});

test('a comma or a backslash in the folder does not begin another option of the one in C', () => {
  expect(virtiofsdArguments('c', '/a,sandbox=none\\', '/s').at(-1)).toMatch(
    /^source=\/a\\,sandbox=none\\\\,sandbox=chroot,/,
  );
});

test('its process is gone once it is disposed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'virtiofsd-'));
  try {
    const path = join(directory, 'program');
    writeFileSync(path, '#!/bin/sh\n: > "$(echo "$1" | cut -d = -f 2)"\nexec sleep 60\n');
    chmodSync(path, 0o700);
    const socketPath = join(directory, 'socket');
    const program = { path, flavour: 'rust' } as const;
    const virtiofsd = await Virtiofsd.start({ sharedDirectory: directory, socketPath, program });
    await virtiofsd[Symbol.asyncDispose]();
    expect(existsSync(`/proc/${virtiofsd.pid}`)).toBe(false);
    expect(existsSync(socketPath)).toBe(false);
    await virtiofsd[Symbol.asyncDispose]();
  } finally {
    rmSync(directory, { recursive: true });
  }
});
