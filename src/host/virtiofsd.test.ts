import { expect, test } from 'vitest';
import { virtiofsdAt, virtiofsdCommand } from './virtiofsd.ts';

const RUST = { path: '/rust', flavour: 'rust' } as const;
const C = { path: '/c', flavour: 'c' } as const;

test('both programs serve in a chroot, with submounts announced and attributes kept', () => {
  expect(virtiofsdCommand({ directory: '/shared' }, RUST, 3)).toEqual(
    expect.arrayContaining([
      '--fd=3',
      '--shared-dir=/shared',
      '--sandbox=chroot',
      '--announce-submounts',
      '--posix-acl',
    ]),
  );
  expect(virtiofsdCommand({ directory: '/shared' }, C, 3)).toEqual([
    '/c',
    '--fd=3',
    '-f',
    '-o',
    'source=/shared,sandbox=chroot,cache=auto,xattr,posix_acl,announce_submounts,log_level=warn',
  ]);
});

test('a comma or a backslash in the folder does not begin another option of the one in C', () => {
  expect(virtiofsdCommand({ directory: '/a,sandbox=none\\' }, C, 3).at(-1)).toMatch(
    /^source=\/a\\,sandbox=none\\\\,sandbox=chroot,/,
  );
});

test('the one in Rust refuses writes by itself, the one in C gets a mount that does', () => {
  const options = { directory: '/shared', readOnly: true };
  expect(virtiofsdCommand(options, RUST, 3)).toContain('--readonly');
  const command = virtiofsdCommand(options, C, 3);
  expect(command.slice(0, 4)).toEqual(['/usr/bin/unshare', '--mount', '--propagation', 'private']);
  expect(command.join(' ')).toContain('remount,bind,ro');
  expect(command.slice(-7, -4)).toEqual(['sh', '/shared', '/c']);
});

test('a cache policy has its name of each program', () => {
  expect(virtiofsdCommand({ directory: '/shared', cache: 'never' }, RUST, 3)).toContain('--cache=never');
  expect(virtiofsdCommand({ directory: '/shared', cache: 'never' }, C, 3).at(-1)).toContain(',cache=none,');
});

test.each([RUST, C])('more arguments stand at the end: $flavour', (program) => {
  const command = virtiofsdCommand({ directory: '/shared', extraArgs: ['--thread-pool-size=1'] }, program, 3);

  expect(command.at(-1)).toBe('--thread-pool-size=1');
});

test('a program at a path is taken for the one in Rust, unless it is where QEMU has its own', () => {
  expect(virtiofsdAt('/usr/lib/qemu/virtiofsd').flavour).toBe('c');
  expect(virtiofsdAt('/opt/virtiofsd')).toEqual({ path: '/opt/virtiofsd', flavour: 'rust' });
});
