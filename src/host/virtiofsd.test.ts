import { expect, test } from 'vitest';
import { virtiofsdArguments } from './virtiofsd.ts';

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
