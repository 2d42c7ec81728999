// What callers find of a container on the host by its pid: its namespaces, its root, its name.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BUSYBOX, type Runtime, RuntimeBed, shell, until } from './harness.ts';

const SLEEP = { args: ['/bin/sleep', '1000'] };

function namespaceOf(pid: number | 'self', name: string): string {
  return readlinkSync(`/proc/${pid}/ns/${name}`);
}

/** A namespace that is bound to a file, as engines keep them. */
class BoundNamespace implements Disposable {
  readonly path: string;
  readonly inode: number;

  constructor(folder: string, kind: 'net' | 'ipc' | 'uts') {
    this.path = join(folder, kind);
    writeFileSync(this.path, '');
    execFileSync('/usr/bin/unshare', [`--${kind}=${this.path}`, '/bin/true']);
    this.inode = statSync(this.path).ino;
  }

  [Symbol.dispose](): void {
    execFileSync('/bin/umount', [this.path]);
  }
}

/** Cases that any runtime with runc's commands passes. */
export function describeNamespaces(runtime: Runtime): void {
  describe('namespaces on the host', () => {
    test.each(['net', 'ipc', 'uts'])('a container and its execs have a %s of their own', async (name) => {
      await using bed = new RuntimeBed(runtime);
      const execPid = join(bed.folder, 'exec.pid');
      await bed.detached(['create', '-b', bed.bundle(SLEEP), 'c1']);
      await bed.detached(['create', '-b', bed.bundle(SLEEP), 'c2']);
      const [first, second] = [await bed.state('c1'), await bed.state('c2')];
      const created = namespaceOf(first.pid, name);
      await bed.call(['start', 'c1']);

      await bed.detached(['exec', '--detach', '--pid-file', execPid, 'c1', 'sleep', '1000']);

      expect(new Set([namespaceOf('self', name), created, namespaceOf(second.pid, name)]).size).toBe(3);
      expect(namespaceOf(first.pid, name)).toBe(created);
      expect(namespaceOf(Number(readFileSync(execPid, 'utf8')), name)).toBe(created);
    });

    test('the loopback interface of a new network is up when the container is created', async () => {
      await using bed = new RuntimeBed(runtime);
      await bed.detached(['create', '-b', bed.bundle(SLEEP), 'c1']);
      const { pid } = await bed.state('c1');

      const shown = execFileSync('/usr/bin/nsenter', ['-t', String(pid), '-n', BUSYBOX, 'ip', 'link'], {
        encoding: 'utf8',
      });

      expect(shown).toMatch(/^1: lo: <LOOPBACK,UP/);
    });

    test.each([
      ['network', 'net'],
      ['ipc', 'ipc'],
      ['uts', 'uts'],
    ] as const)('a %s that is given by its path is joined', async (type, name) => {
      await using bed = new RuntimeBed(runtime);
      using bound = new BoundNamespace(bed.folder, name);
      const bundle = bed.bundle({ ...SLEEP, namespaces: [{ type, path: bound.path }] });

      await bed.detached(['create', '-b', bundle, 'c1']);

      const { pid } = await bed.state('c1');
      expect(namespaceOf(pid, name)).toBe(`${name}:[${bound.inode}]`);
      await bed.call(['delete', '--force', 'c1']);
    });

    test('one that is not there is named, and nothing stays', async () => {
      await using bed = new RuntimeBed(runtime);
      const bundle = bed.bundle({ ...SLEEP, namespaces: [{ type: 'network', path: '/proc/4194305/ns/net' }] });

      const result = await bed.call(['create', '-b', bundle, 'c1']);

      expect(result.status).toBe(1);
      expect(result.stderr).toMatch(bed.words('namespace path: lstat /proc/4194305/ns/net: no such file or directory'));
      expect(bed.leftovers()).toEqual([]);
    });

    test('one of another kind fails, and nothing stays', async () => {
      await using bed = new RuntimeBed(runtime);
      using bound = new BoundNamespace(bed.folder, 'ipc');
      const bundle = bed.bundle({ ...SLEEP, namespaces: [{ type: 'network', path: bound.path }] });

      const result = await bed.call(['create', '-b', bundle, 'c1']);

      expect(result.status).toBe(1);
      expect(readdirSync(bed.root)).toEqual([]);
    });
  });

  describe('the root of the process of the pid file', () => {
    test("is the container's, with its volumes, and nothing of the host's", async () => {
      await using bed = new RuntimeBed(runtime);
      const volume = bed.bundle(SLEEP);
      const mounts = [{ destination: '/tmp/volume', type: 'bind', source: volume, options: ['rbind', 'rw'] }];
      const bundle = bed.bundle({ ...SLEEP, mounts });
      await bed.detached(['run', '--detach', '-b', bundle, 'c1']);
      const { pid } = await bed.state('c1');
      const enter = ['--target', String(pid), '--mount', '--root', '/bin/busybox', 'sh', '-c'];

      execFileSync('/usr/bin/nsenter', [...enter, 'echo written >/etc/written; echo too >/tmp/volume/too']);
      writeFileSync(`/proc/${pid}/root/etc/copied`, 'copied\n');

      expect(readFileSync(join(bundle, 'rootfs/etc/written'), 'utf8')).toBe('written\n');
      expect(readFileSync(join(bundle, 'rootfs/etc/copied'), 'utf8')).toBe('copied\n');
      expect(readFileSync(join(volume, 'too'), 'utf8')).toBe('too\n');
      expect(readdirSync(`/proc/${pid}/root`).sort()).toEqual(readdirSync(join(bundle, 'rootfs')).sort());
    });

    test('is read-only where the container may only read', async () => {
      await using bed = new RuntimeBed(runtime);
      const mounts = [{ destination: '/tmp/volume', type: 'bind', source: bed.folder, options: ['rbind', 'ro'] }];
      await bed.detached(['run', '-d', '-b', bed.bundle({ ...SLEEP, mounts, readonlyRoot: true }), 'c1']);
      const { pid } = await bed.state('c1');

      const write = (path: string) => (): void => writeFileSync(`/proc/${pid}/root${path}`, '');

      expect(write('/etc/x')).toThrow('EROFS');
      expect(write('/tmp/volume/x')).toThrow('EROFS');
    });

    test('lets the host take away what it has mounted', async () => {
      await using bed = new RuntimeBed(runtime);
      const bundle = bed.bundle(SLEEP);
      const other = join(bed.folder, 'other');
      execFileSync('/bin/mkdir', [other]);
      execFileSync('/bin/mount', ['-t', 'tmpfs', 'tmpfs', other]);
      await bed.detached(['run', '-d', '-b', bundle, 'c1']);
      const { pid } = await bed.state('c1');

      execFileSync('/bin/umount', [other]);

      expect(readFileSync(`/proc/${pid}/mountinfo`, 'utf8')).not.toContain(other);
    });
  });

  test('ps shows the program and its arguments', async () => {
    await using bed = new RuntimeBed(runtime);
    const execPid = join(bed.folder, 'exec.pid');
    await bed.detached(['run', '-d', '-b', bed.bundle(shell('exec sleep 1000')), 'c1']);
    await bed.detached(['exec', '--detach', '--pid-file', execPid, 'c1', 'sleep', '2000']);
    const pid = Number(readFileSync(execPid, 'utf8'));

    await until(() => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n');

    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, 2)).toEqual(['sleep', '2000']);
  });
}
