// Files and file systems below /run/tskata, which the host puts there and containers may have bound.
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CopyFileRequest } from '../../src/protocol/agent.gen.ts';
import { TestAgent } from './harness.ts';

let agent: TestAgent;
beforeAll(async () => {
  agent = await TestAgent.start();
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});

const inside = (path: string): string => agent.pathInside(`/run/tskata/${path}`);
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Asks for one thing below /run/tskata. */
async function copy(
  name: string,
  content: CopyFileRequest['content'],
  more: Partial<CopyFileRequest> = {},
): Promise<void> {
  const size = content?.$case === 'data' ? BigInt(content.value.length) : 0n;
  const rest = { mode: 0o644, uid: 0, gid: 0, offset: 0n, size };
  await agent.call('CopyFile', { path: `/run/tskata/${name}`, content, ...rest, ...more });
}
const file = (text: string): CopyFileRequest['content'] => ({ $case: 'data', value: bytes(text) });
const directory: CopyFileRequest['content'] = { $case: 'directory', value: {} };
const link = (target: string): CopyFileRequest['content'] => ({ $case: 'symbolicLink', value: target });

describe('a file', () => {
  test('is there with its contents, mode and owner, and the directories above it', async () => {
    await copy('file/a/b/c', file('hello'), { mode: 0o4751, uid: 1000, gid: 1001 });

    expect(readFileSync(inside('file/a/b/c'), 'utf8')).toBe('hello');
    expect(statSync(inside('file/a/b/c'))).toMatchObject({ mode: 0o104751, uid: 1000, gid: 1001 });
    expect(statSync(inside('file/a/b'))).toMatchObject({ mode: 0o40755, uid: 0 });
  });

  test('may be empty', async () => {
    await copy('empty', file(''));

    expect(readFileSync(inside('empty'), 'utf8')).toBe('');
  });

  test('of several pieces appears with the last of them', async () => {
    await copy('pieces', file('old'));
    await copy('pieces', file('one '), { size: 9n });
    const between = readFileSync(inside('pieces'), 'utf8');
    await copy('pieces', file('two'), { size: 9n, offset: 4n });
    await copy('pieces', file('!!'), { size: 9n, offset: 7n });

    expect(between).toBe('old');
    expect(readFileSync(inside('pieces'), 'utf8')).toBe('one two!!');
    expect(readdirSync(inside('')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('takes the place of another, which stays as it is for those who have it open', async () => {
    await copy('replaced', file('old'));
    const before = statSync(inside('replaced')).ino;
    await copy('replaced', file('new'));

    expect(statSync(inside('replaced')).ino).not.toBe(before);
    expect(readFileSync(inside('replaced'), 'utf8')).toBe('new');
  });

  test('begins anew with a piece at 0', async () => {
    await copy('anew', file('lost'), { size: 100n });
    await copy('anew', file('kept'));

    expect(readFileSync(inside('anew'), 'utf8')).toBe('kept');
    await expect(copy('anew', file('more'), { size: 100n, offset: 4n })).rejects.toMatchObject({
      message: expect.stringContaining('a piece at 4 came instead of the first, at 0'),
    });
  });

  test('with a piece out of order is given up', async () => {
    await copy('order', file('0123'), { size: 12n });

    await expect(copy('order', file('89ab'), { size: 12n, offset: 8n })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining('a piece at 8 came instead of the one at 4'),
    });
    expect(existsSync(inside('order'))).toBe(false);
  });

  test('that is never finished does not keep others from being written', async () => {
    for (let index = 0; index < 40; index++) await copy(`many/${index}`, file('x'), { size: 2n });
    await copy('many/0', file('yz'));

    expect(readFileSync(inside('many/0'), 'utf8')).toBe('yz');
    expect(readdirSync(inside('many')).filter((name) => name.startsWith('.')).length).toBeLessThanOrEqual(16);
  });

  test('for which there is no room is refused and leaves nothing', async () => {
    mkdirSync(inside('small'));
    agent.runInside('mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', '/run/tskata/small');
    await copy('small/a', file('a'));

    await expect(copy('small/a', file('x'.repeat(100_000)))).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
      message: 'no room for /run/tskata/small/a in the guest: its file system is full',
    });
    expect(readdirSync(inside('small'))).toEqual(['a']);
    expect(readFileSync(inside('small/a'), 'utf8')).toBe('a');
  });

  test('does not take the place of a directory', async () => {
    await copy('folder/x', file(''));

    await expect(copy('folder', file('x'))).rejects.toMatchObject({
      message: expect.stringContaining('is a directory'),
    });
    expect(readdirSync(inside('folder'))).toEqual(['x']);
  });
});

describe('a directory', () => {
  test('is made with its mode and owner', async () => {
    await copy('dir/new', directory, { mode: 0o1777, uid: 5, gid: 6 });

    expect(statSync(inside('dir/new'))).toMatchObject({ mode: 0o41777, uid: 5, gid: 6 });
  });

  test('that is there gets the mode and the owner, and keeps what is in it', async () => {
    await copy('dir/there/x', file(''));
    await copy('dir/there', directory, { mode: 0o700, uid: 7, gid: 8 });

    expect(statSync(inside('dir/there'))).toMatchObject({ mode: 0o40700, uid: 7, gid: 8 });
    expect(readdirSync(inside('dir/there'))).toEqual(['x']);
  });

  test.each([
    ['a file', file('')],
    ['a symbolic link to a directory', link('/tmp')],
  ])('does not take the place of %s', async (_what, content) => {
    await copy('dir/other', content);

    await expect(copy('dir/other', directory)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
  });
});

describe('a symbolic link', () => {
  test('names anything, and has an owner', async () => {
    await copy('links/a', link('../../anywhere'), { uid: 9, gid: 10 });

    expect(readlinkSync(inside('links/a'))).toBe('../../anywhere');
    expect(lstatSync(inside('links/a'))).toMatchObject({ uid: 9, gid: 10 });
  });

  test('takes the place of another, as updates of a ConfigMap do', async () => {
    await copy('map/..one/key', file('1'));
    await copy('map/..two/key', file('2'));
    await copy('map/..data', link('..one'));
    await copy('map/..data', link('..two'));

    expect(readFileSync(inside('map/..data/key'), 'utf8')).toBe('2');
  });
});

describe('nothing leads out of /run/tskata', () => {
  test.each(
    // biome-ignore format: a list of paths
    ['', '/', '/run/tskata', '/run/tskata/', '/run/tskata/../x', '/run/tskata/a/../../../x', '/run/tskata/./x', '/run/tskata//x', '/run/tskata/a/',
      '/run/tskatax/a', 'run/tskata/a', '/run/tskata/a\0b'],
  )('"%s" is refused', async (path) => {
    const request = { mode: 0o644, uid: 0, gid: 0, offset: 0n, size: 0n, content: file('') };

    await expect(agent.call('CopyFile', { path, ...request })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(agent.call('UnmountFilesystem', { path })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('symbolic links in the place of directories are not followed', async () => {
    mkdirSync(inside('hostile'));
    symlinkSync('/tmp', inside('hostile/out'));
    symlinkSync('/proc/self/root', inside('hostile/root'));
    symlinkSync('.', inside('hostile/here'));

    for (const name of ['out', 'root', 'here']) {
      await expect(copy(`hostile/${name}/tskata-test-escape`, file('x'))).rejects.toMatchObject({
        code: 'FAILED_PRECONDITION',
        message: expect.stringContaining('symbolic links are not followed'),
      });
    }
    expect(existsSync('/tmp/tskata-test-escape')).toBe(false);
  });

  test('a symbolic link in the place of a file is replaced, not written through', async () => {
    mkdirSync(inside('through'));
    writeFileSync(inside('through/victim'), 'safe');
    symlinkSync('victim', inside('through/name'));
    await copy('through/name', file('new'));

    expect(readFileSync(inside('through/victim'), 'utf8')).toBe('safe');
    expect(readFileSync(inside('through/name'), 'utf8')).toBe('new');
  });

  test('a directory that is exchanged between two pieces keeps the file where it began', async () => {
    await copy('moved/a/file', file('one'), { size: 6n });
    renameSync(inside('moved/a'), inside('moved/b'));
    symlinkSync('/tmp', inside('moved/a'));
    await copy('moved/a/file', file('two'), { size: 6n, offset: 3n });

    expect(readFileSync(inside('moved/b/file'), 'utf8')).toBe('onetwo');
    expect(existsSync('/tmp/file')).toBe(false);
  });
});

test.each<[string, Partial<CopyFileRequest>, RegExp]>([
  ['bits of a type in the mode', { mode: 0o100644 }, /mode 0100644 of .*: only permissions/],
  ['a piece beyond the size', { size: 3n }, /a piece ends at 4, beyond the size 3/],
  ['no content', { content: undefined }, /say what it is to be/],
  ['a link without a target', { content: { $case: 'symbolicLink', value: '' } }, /needs a target/],
])('%s is refused', async (_what, more, message) => {
  await expect(copy('senseless', file('four'), more)).rejects.toMatchObject({
    code: 'INVALID_ARGUMENT',
    message: expect.stringMatching(message),
  });
  expect(existsSync(inside('senseless'))).toBe(false);
});

describe('a file system', () => {
  const mount = (name: string, more: { type?: string; source?: string; options?: string[] } = {}) =>
    agent.call('MountFilesystem', {
      type: 'tmpfs',
      source: 'tmpfs',
      options: [],
      ...more,
      path: `/run/tskata/${name}`,
    });
  const unmount = (name: string) => agent.call('UnmountFilesystem', { path: `/run/tskata/${name}` });
  const mounts = async () => (await agent.call('GuestDetails', {})).mounts;

  test('is mounted with its options, seen in the details, and goes with the directories made for it', async () => {
    await copy('fs/kept', file(''));
    await mount('fs/a/b', { options: ['nosuid', 'nodev', 'ro', 'size=1m', 'mode=0711'] });
    const line = agent.runInside('grep', '/run/tskata/fs/a/b', '/proc/1/mounts');
    const during = await mounts();
    await unmount('fs/a/b');

    expect(line).toMatch(/^tmpfs \/run\/tskata\/fs\/a\/b tmpfs ro,nosuid,nodev,.*size=1024k,mode=711/);
    expect(during).toContain('/run/tskata/fs/a/b');
    expect(await mounts()).not.toContain('/run/tskata/fs/a/b');
    expect(readdirSync(inside('fs'))).toEqual(['kept']);
  });

  test('is not mounted twice at one place', async () => {
    await mount('twice');

    await expect(mount('twice')).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await unmount('twice');
    await expect(unmount('twice')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('is not unmounted while it is in use', async () => {
    await mount('busy');
    await mount('busy/below');

    await expect(unmount('busy')).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining('/run/tskata/busy is in use'),
    });
    await unmount('busy/below');
    await unmount('busy');
  });

  test('is unmounted with files in it that were never finished', async () => {
    await mount('unfinished');
    await copy('unfinished/file', file('x'), { size: 2n });
    await unmount('unfinished');

    await expect(copy('unfinished/file', file('y'), { size: 2n, offset: 1n })).rejects.toMatchObject({
      message: expect.stringContaining('instead of the first'),
    });
    expect(existsSync(inside('unfinished'))).toBe(false);
  });

  test('can be copied to', async () => {
    await mount('target');
    await copy('target/file', file('in it'));

    expect(readFileSync(inside('target/file'), 'utf8')).toBe('in it');
    await unmount('target');
    expect(existsSync(inside('target'))).toBe(false);
  });

  test.each<[string, { type?: string; source?: string; options?: string[] }, string, RegExp]>([
    [
      'a type that the kernel lacks',
      { type: 'nosuchfs' },
      'FAILED_PRECONDITION',
      /the guest's kernel has no file system "nosuchfs"/,
    ],
    ['an option that the file system lacks', { options: ['nosuch=1'] }, 'FAILED_PRECONDITION', /an option is wrong/],
    ['a bind mount', { source: '/etc', options: ['bind'] }, 'INVALID_ARGUMENT', /only new mounts/],
    ['a remount', { options: ['remount', 'ro'] }, 'INVALID_ARGUMENT', /only new mounts/],
    ['propagation', { options: ['shared'] }, 'INVALID_ARGUMENT', /mounts of the guest are private/],
    ['no block device', { type: 'ext4', source: '/dev/null' }, 'FAILED_PRECONDITION', /\/dev\/null is no block device/],
    [
      'a device that never comes',
      { type: 'ext4', source: '/dev/nosuch' },
      'NOT_FOUND',
      /no device \/dev\/nosuch, 5 seconds/,
    ],
  ])('%s is refused and leaves nothing', async (_what, more, code, message) => {
    await expect(mount('refused/a/b', more)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });

    expect(existsSync(inside('refused'))).toBe(false);
  });

  test('is not mounted by way of a symbolic link, and a failed way leaves nothing', async () => {
    mkdirSync(inside('way'));
    symlinkSync('/tmp', inside('way/out'));

    await expect(mount('way/out/tskata-test-mount')).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    await expect(mount('way/out')).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
    await expect(unmount('way/out')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(existsSync('/tmp/tskata-test-mount')).toBe(false);
  });

  test('is waited for until its device is there', async () => {
    agent.runInside('mount', '-t', 'tmpfs', 'tmpfs', '/dev/shm');
    // There is no file system on it; that this is said shows that the device was seen.
    const seen = expect(mount('late', { type: 'ext4', source: '/dev/shm/late' })).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringContaining('ext4 of "/dev/shm/late" cannot be mounted at /run/tskata/late'),
    });
    await agent.call('GuestDetails', {});
    agent.runInside('mknod', '/dev/shm/late', 'b', '7', '250');

    await seen;
    expect(existsSync(inside('late'))).toBe(false);
  });
});
