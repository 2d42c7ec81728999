// Disks of the host in a container: as devices, and as what is mounted.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { RuntimeBed, shell } from '../oci/harness.ts';

const tskata = { name: 'tskata', command: [join(import.meta.dirname, '../../build/bin/tskata')] };
const SIZE = 4 * 1024 * 1024;

/** A loop device on a file. */
class LoopDevice implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tskata-disk-'));
  readonly file = join(this.#folder, 'image');
  readonly path: string;
  readonly major: number;
  readonly minor: number;

  constructor(prepare: (file: string) => void = () => {}) {
    writeFileSync(this.file, Buffer.alloc(SIZE));
    prepare(this.file);
    execFileSync('modprobe', ['loop']);
    this.path = execFileSync('losetup', ['--find', '--show', this.file], { encoding: 'utf8' }).trim();
    const { rdev } = statSync(this.path);
    this.major = rdev >> 8;
    this.minor = rdev & 0xff;
  }

  [Symbol.dispose](): void {
    execFileSync('losetup', ['--detach', this.path]);
    rmSync(this.#folder, { recursive: true });
  }
}

/** Gives the bundle devices, and rules for them, as engines do. */
function giveDevice(bundle: string, { major, minor }: LoopDevice, access: string): void {
  const path = join(bundle, 'config.json');
  const config = JSON.parse(readFileSync(path, 'utf8'));
  config.linux.devices = [{ type: 'b', path: '/dev/xvdc', major, minor, fileMode: 0o660 }];
  config.linux.resources = {
    devices: [
      { allow: false, access: 'rwm' },
      { allow: true, type: 'b', major, minor, access },
    ],
  };
  writeFileSync(path, JSON.stringify(config));
}

test('a disk of the host is a disk of the guest, under the name that it is given', async () => {
  await using bed = new RuntimeBed(tskata);
  using loop = new LoopDevice();
  const bundle = bed.bundle(
    shell('blockdev --getsize64 /dev/xvdc; echo written | dd of=/dev/xvdc conv=fsync 2> /dev/null'),
  );
  giveDevice(bundle, loop, 'rwm');

  const result = await bed.call(['run', '-b', bundle, 'c1']);

  expect(result).toEqual({ status: 0, stdout: `${SIZE}\n`, stderr: '' });
  expect(readFileSync(loop.file, 'latin1').slice(0, 8)).toBe('written\n');
});

test('a disk that may only be read cannot be written to', async () => {
  await using bed = new RuntimeBed(tskata);
  using loop = new LoopDevice((file) => writeFileSync(file, Buffer.alloc(SIZE, 'x')));
  const bundle = bed.bundle(shell('head -c 4 /dev/xvdc; echo written > /dev/xvdc'));
  giveDevice(bundle, loop, 'r');

  const result = await bed.call(['run', '-b', bundle, 'c1']);

  expect(result).toMatchObject({ status: 1, stdout: 'xxxx' });
  expect(result.stderr).toContain('Operation not permitted');
  expect(readFileSync(loop.file, 'latin1').slice(0, 4)).toBe('xxxx');
});

test('a file system on a disk of the host is mounted in the guest', async () => {
  await using bed = new RuntimeBed(tskata);
  using loop = new LoopDevice((file) => execFileSync('mke2fs', ['-q', '-t', 'ext4', file], { stdio: 'ignore' }));
  const mounts = [{ destination: '/data', type: 'ext4', source: loop.path, options: ['noatime'] }];
  const bundle = bed.bundle({ ...shell('grep " /data " /proc/mounts; echo kept > /data/file'), mounts });

  const first = await bed.call(['run', '-b', bundle, 'c1']);
  const second = await bed.call(['run', '-b', bed.bundle({ ...shell('cat /data/file'), mounts }), 'c2']);

  expect(first).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^\/dev\/vda \/data ext4 rw,noatime/),
    stderr: '',
  });
  expect(second).toEqual({ status: 0, stdout: 'kept\n', stderr: '' });
});

test.each([
  ['/dev/kvm', { type: 'c', path: '/dev/kvm', major: 10, minor: 232 }, 'linux.devices[0] in config.json'],
  ['a disk that is not there', { type: 'b', path: '/dev/x', major: 250, minor: 4000 }, 'block device 250:4000'],
])('%s is refused, and leaves nothing', async (_, device, message) => {
  await using bed = new RuntimeBed(tskata);
  const bundle = bed.bundle(shell('exit 0'));
  const path = join(bundle, 'config.json');
  const config = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify({ ...config, linux: { ...config.linux, devices: [device] } }));

  const result = await bed.call(['run', '-b', bundle, 'c1']);

  expect(result.status).toBe(1);
  expect(result.stderr).toContain(message);
  expect(bed.leftovers()).toEqual([]);
});
