// The mount option `tmpcopyup`: a tmpfs that begins with what the image has at its place.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { config, stdioRequest, TestAgent, uniqueId } from './harness.ts';

let agent: TestAgent;
beforeAll(async () => {
  agent = await TestAgent.start();
});
afterAll(async () => {
  await agent[Symbol.asyncDispose]();
});

/** A root file system with /data, which a program of Python has filled: it runs there. */
function rootfsWith(program: string): string {
  const rootfs = agent.makeRootfs();
  execFileSync('python3', ['-c', `import os, socket\nos.mkdir("data")\nos.chdir("data")\n${program}`], { cwd: rootfs });
  return rootfs;
}

function document(script: string, ...options: readonly string[]) {
  const mount = { destination: '/data', type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup', ...options] };
  return config(['sh', '-c', `exec 2>&1; cd /data; ${script}`], { mounts: [...config([]).mounts, mount] });
}

async function lines(rootfs: string, script: string, ...options: readonly string[]): Promise<string[]> {
  const { stdout } = await agent.run(document(script, ...options), rootfs);
  return stdout.trimEnd().split('\n');
}

describe('tmpcopyup', () => {
  test('copies directories, files, links, devices, fifos and sockets, with owners, modes and times', async () => {
    const rootfs = rootfsWith(`
os.makedirs("a/b")
open("a/b/file", "w").write("content")
os.symlink("/etc/../nowhere", "a/link")
os.mkfifo("a/fifo")
os.mknod("a/null", 0o020666, os.makedev(1, 3))
socket.socket(socket.AF_UNIX).bind("a/socket")
os.chown("a/b/file", 1000, 7)
os.chmod("a/b/file", 0o4751)
os.chown("a/link", 5, 6, follow_symlinks=False)
os.chmod("a/b", 0o2700)
for path in ["a/b/file", "a/b", "a/link", "a"]: os.utime(path, (1e9, 1.1e9), follow_symlinks=False)
`);

    const found = await lines(
      rootfs,
      'for f in a a/b a/b/file a/link a/fifo a/null a/socket; do stat -c "%n %F %a %u:%g %t:%T" $f; done',
    );

    expect(found).toEqual([
      'a directory 755 0:0 0:0',
      'a/b directory 2700 0:0 0:0',
      'a/b/file regular file 4751 1000:7 0:0',
      'a/link symbolic link 777 5:6 0:0',
      'a/fifo fifo 644 0:0 0:0',
      'a/null character special file 644 0:0 1:3',
      'a/socket socket 755 0:0 0:0',
    ]);
    expect(await lines(rootfs, 'cat a/b/file; echo; stat -c %Y a/b/file a/b a/link a; readlink a/link')).toEqual([
      'content',
      '1100000000',
      '1100000000',
      '1100000000',
      '1100000000',
      '/etc/../nowhere',
    ]);
  });

  test('leaves the image as it was, and gives the directory itself its owner and mode', async () => {
    const rootfs = rootfsWith('open("file", "w").write("old")\nos.chown(".", 3, 4)\nos.chmod(".", 0o1770)');

    const found = await lines(
      rootfs,
      'echo new > file; cat file; stat -c "%a %u:%g" .; grep -c " /data tmpfs" /proc/mounts',
    );

    expect(found).toEqual(['new', '1770 3:4', '1']);
    expect(execFileSync('cat', [join(rootfs, 'data/file')], { encoding: 'utf8' })).toBe('old');
  });

  test("lets the mount's own options win over what is copied, read-only among them", async () => {
    const rootfs = rootfsWith('open("file", "w").write("x")\nos.chown(".", 3, 4)');

    const found = await lines(rootfs, 'stat -c "%a %u:%g" .; cat file; echo; touch y', 'mode=700', 'uid=9', 'ro');

    expect(found).toEqual(['700 9:4', 'x', 'touch: y: Read-only file system']);
  });

  test('copies extended attributes', async () => {
    const rootfs = rootfsWith(`
open("file", "w")
os.setxattr("file", "user.name", b"value")
os.setxattr("file", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
os.setxattr("file", "trusted.empty", b"")
os.setxattr(".", "user.directory", b"\\x00\\xff")
`);
    const containerId = uniqueId();
    const { pid } = await agent.create(containerId, document('true'), stdioRequest(), rootfs);
    const program = `
import os
for path in ("file", "."):
    full = "/proc/${pid}/root/data/" + path
    for name in sorted(os.listxattr(full)): print(path, name, os.getxattr(full, name).hex())`;

    const found = agent.runInside('python3', '-c', program);
    await agent.call('DeleteContainer', { containerId, force: true });

    expect(found.trimEnd().split('\n')).toEqual([
      'file security.capability 0100000200040000000000000000000000000000',
      'file trusted.empty ',
      'file user.name 76616c7565',
      '. user.directory 00ff',
    ]);
  });

  test('keeps names of one file names of one file', async () => {
    const rootfs = rootfsWith(
      'os.mkdir("d")\nopen("one", "w").write("1")\nos.link("one", "d/two")\nopen("d/\\udcff\\udcfe", "w")\nos.link("d/\\udcff\\udcfe", "odd")',
    );

    const found = await lines(
      rootfs,
      'echo more >> one; cat d/two; stat -c %h one odd; ls d | wc -l; test d/?? -ef odd && echo same',
    );

    expect(found).toEqual(['1more', '2', '2', '2', 'same']);
  });

  test('leaves holes holes, and copies large files whole', async () => {
    const rootfs = rootfsWith(`
with open("sparse", "wb") as file:
    file.truncate(1 << 40)
    file.seek(1 << 30)
    file.write(b"middle")
with open("large", "wb") as file:
    for number in range(300000): file.write(b"%07d\\n" % number)
`);

    const found = await lines(
      rootfs,
      'stat -c %s sparse; dd if=sparse bs=64K skip=16384 count=1 2>/dev/null | head -c6; echo; wc -l < large; grep -n 0299999 large',
      'size=4m',
    );

    expect(found).toEqual([String(2 ** 40), 'middle', '300000', '300000:0299999']);
  });

  test('copies as many files as there are', async () => {
    const rootfs = rootfsWith('for n in range(3000): open("a-rather-long-name-%d" % n, "w")');

    expect(await lines(rootfs, 'ls | wc -l')).toEqual(['3000']);
  });

  test('begins empty where the image has nothing', async () => {
    expect(await lines(agent.makeRootfs(), 'ls; stat -c %a .')).toEqual(['1777']);
  });
});

describe('what an image holds', () => {
  test.each([
    ['a file', 'open("big", "wb").write(bytes(200000))', 'size=100k', '/data/big does not fit'],
    [
      'a file in a directory',
      'os.mkdir("d")\nopen("d/big", "wb").write(bytes(200000))',
      'size=100k',
      '/data/d/big does not fit',
    ],
    ['more files', 'for n in range(20): os.mkdir(str(n))', 'nr_inodes=10', 'give the tmpfs a larger size or nr_inodes'],
  ])('%s that does not fit is told of', async (_what, program, option, words) => {
    const creation = agent.create(uniqueId(), document('true', option), stdioRequest(), rootfsWith(program));

    await expect(creation).rejects.toMatchObject({ message: expect.stringContaining(words) });
  });

  test('is never opened when it is no regular file, and links are not followed', async () => {
    const secret = join(agent.directory, 'secret');
    execFileSync('sh', ['-c', `mkdir ${secret} && echo secret > ${secret}/file`]);
    // Opening the fifo would wait for ever; reading the terminal or the kernel's log would do something.
    const rootfs = rootfsWith(`
os.mkfifo("fifo")
os.mknod("kmsg", 0o020666, os.makedev(1, 11))
os.symlink("${secret}", "directory")
os.symlink("${secret}/file", "file")
`);

    const found = await lines(rootfs, 'ls; readlink directory; readlink file');

    expect(found).toEqual(['directory', 'fifo', 'file', 'kmsg', secret, `${secret}/file`]);
  });

  test('may be deep, but not without an end', async () => {
    const deep = (depth: number) =>
      rootfsWith(`for n in range(${depth}):\n    os.mkdir("d")\n    os.chdir("d")\nopen("end", "w")`);

    expect(await lines(deep(200), 'for n in $(seq 200); do cd d; done; ls')).toEqual(['end']);
    const creation = agent.create(uniqueId(), document('true'), stdioRequest(), deep(300));
    await expect(creation).rejects.toMatchObject({
      message: expect.stringContaining('more than 256 directories deep'),
    });
  });

  test('may be copied by the root of a user namespace too', async () => {
    const mapping = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
    execFileSync('chmod', ['711', agent.directory]);
    const rootfs = rootfsWith(
      'open("file", "w").write("x")\nos.setxattr("file", "trusted.x", b"x")\nos.mkfifo("fifo")',
    );
    execFileSync('chown', ['-hR', '100000:100000', rootfs]);
    const linux = {
      namespaces: ['user', 'pid', 'mount', 'ipc', 'uts', 'cgroup', 'network'].map((type) => ({ type })),
      uidMappings: mapping,
      gidMappings: mapping,
    };
    const { linux: _, ...rest } = document('stat -c "%n %u" *');

    expect((await agent.run({ ...rest, linux }, rootfs)).stdout).toBe('fifo 0\nfile 0\n');
  });
});
