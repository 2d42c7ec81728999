// Snapshots of real guests: what goes on after them, in the same VM and in others.
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildVm, type RestoreOptions, restoreVm, type VmConfig } from '../../src/index.ts';
import { config, stdioRequest } from '../agent/harness.ts';
import { AgentGuest, ROOTS_PATH, ROOTS_TAG } from './agent-guest.ts';
import { runVm } from './library-harness.ts';
import { BUILD, INITRAMFS, KERNEL, QUIET, useGuestFiles } from './tsvm-harness.ts';

const files = useGuestFiles();

/** The end of the line is as the terminal driver writes it. */
const tick = (count: number): string => `tick ${count}\r\n`;
/** Counts on the console, answers what is typed, and keeps a file on the disk open to which it writes each count. */
const COUNTER = `mount -t ext4 /dev/vda /mnt
(while read line; do echo "heard $line"; done) < /dev/console &
exec 5> /mnt/counts
i=0; while true; do i=$((i+1)); echo "tick $i"; echo $i >&5; sync; sleep 0.2; done`;

function makeDisk(path: string): void {
  execFileSync('truncate', ['-s', '8M', path]);
  execFileSync('/usr/sbin/mkfs.ext4', ['-q', '-F', path]);
}

/** The counts that the file on a disk has, after its file system was checked. */
function countsOn(disk: string): number[] {
  execFileSync('/usr/sbin/e2fsck', ['-p', disk], { stdio: 'pipe' });
  const show = execFileSync('/usr/sbin/debugfs', ['-R', 'cat counts', disk], { stdio: ['ignore', 'pipe', 'ignore'] });
  return show.toString().trim().split('\n').map(Number);
}

/** 1, 2, 3 and so on, `length` of them. */
const sequence = (length: number): number[] => Array.from({ length }, (_, index) => index + 1);

test('a guest with two CPUs goes on after a snapshot, and again in two clones at once', async () => {
  const [disk, snapshot] = [files.path('disk.img'), files.path('counter.snapshot')];
  makeDisk(disk);
  const machine: VmConfig = {
    kernelPath: KERNEL,
    initrdPath: files.initramfs('counter', COUNTER),
    commandLine: QUIET,
    memoryMib: 96,
    cpus: 2,
    serial: true,
    disks: [{ path: disk }],
    vsock: { guestCid: 3, path: files.path('counter.vsock') },
  };
  {
    await using saved = await runVm((connections) => buildVm(machine, connections));
    await saved.printed(tick(3));
    await saved.vm.snapshot(snapshot, { resume: false });
    expect(saved.vm.state).toBe('paused');
    for (const name of ['a', 'b']) copyFileSync(disk, `${disk}.${name}`);
    saved.vm.resume();
    await saved.printed(tick(6));
  }
  const memory = readFileSync(join(snapshot, 'memory'));
  {
    await using resources = new AsyncDisposableStack();
    const clones = [];
    for (const name of ['a', 'b']) {
      const devices = {
        disks: [{ path: `${disk}.${name}` }],
        vsock: { guestCid: 3, path: files.path(`${name}.vsock`) },
      };
      clones.push(resources.use(await runVm((connections) => restoreVm(snapshot, { devices }, connections))));
    }
    for (const [index, clone] of clones.entries()) clone.type(`clone ${index}\n`);
    for (const [index, clone] of clones.entries()) {
      await clone.printed(`heard clone ${index}`);
      await clone.printed(tick(8));
      expect(clone.output).not.toContain(`heard clone ${1 - index}`);
    }
  }
  expect(readFileSync(join(snapshot, 'memory')).equals(memory)).toBe(true);
  for (const name of ['a', 'b']) {
    const counts = countsOn(`${disk}.${name}`);
    // The last count on the console may not be on the disk yet.
    expect(counts.length).toBeGreaterThanOrEqual(7);
    expect(counts).toEqual(sequence(counts.length));
  }
});

describe('a snapshot that cannot be restored is refused with the reason', () => {
  const flip = (path: string, at: number): void => {
    const bytes = readFileSync(path);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  };
  const makeNewer = (path: string): void =>
    writeFileSync(path, readFileSync(path, 'utf8').replace('"version": 1', '"version": 2'));
  const twoDisks = (): RestoreOptions => ({
    devices: { disks: [{ path: files.path('disk.img.a') }, { path: files.path('disk.img.b') }] },
  });
  const nothingElse = (): RestoreOptions => ({});
  const unverified = (): RestoreOptions => ({ verifyMemory: false });

  test.each<[string, (folder: string) => void, () => RestoreOptions, RegExp]>([
    [
      'a flipped bit of memory',
      (folder) => flip(join(folder, 'memory'), 20 << 20),
      nothingElse,
      /the snapshot is damaged/,
    ],
    ['memory cut off', (folder) => truncateSync(join(folder, 'memory'), 1 << 20), unverified, /has 1048576 bytes/],
    ['a flipped bit of state', (folder) => flip(join(folder, 'state.json'), 5000), nothingElse, /has another digest/],
    [
      'a newer version',
      (folder) => makeNewer(join(folder, 'manifest.json')),
      nothingElse,
      /has format version 2.*restore it with the program that wrote it/,
    ],
    ['other devices', () => undefined, twoDisks, /give as many of each kind as there were/],
  ])('%s', async (name, spoil, options, message) => {
    const folder = files.path(`spoiled by ${name}`);
    cpSync(files.path('counter.snapshot'), folder, { recursive: true });
    spoil(folder);

    await expect(restoreVm(folder, options(), { log: () => undefined })).rejects.toThrow(message);
  });
});

test('a container goes on in clones: with its file system, the time of now, and randomness of its own', async () => {
  const [roots, vsock, snapshot] = [files.path('roots'), files.path('agent.vsock'), files.path('agent.snapshot')];
  mkdirSync(roots);
  execFileSync('cp', ['-a', join(BUILD, 'guest/rootfs'), join(roots, 'box')]);
  const script = 'exec 7> /kept-open; i=0; while true; do i=$((i+1)); echo $i >&7; sleep 0.2; done';
  const countLines = ['sh', '-c', 'wc -l < /kept-open'];
  const machine: VmConfig = {
    kernelPath: KERNEL,
    initrdPath: INITRAMFS,
    commandLine: 'reboot=k panic=-1 quiet 8250.nr_uarts=0',
    memoryMib: 128,
    cpus: 1,
    vsock: { guestCid: 3, path: vsock },
    shares: [{ tag: ROOTS_TAG, directory: roots }],
  };
  let before = 0;
  {
    const server = AgentGuest.listen(vsock);
    await using vm = await buildVm(machine, { log: () => undefined });
    vm.start();
    using guest = await AgentGuest.greet(server, vsock);
    await guest.agent.call('CreateContainer', {
      containerId: 'box',
      ociConfigJson: JSON.stringify(config(['sh', '-c', script])),
      rootfsPath: `${ROOTS_PATH}/box`,
      stdio: stdioRequest({ stdout: false, stderr: false }),
      seccomp: undefined,
      bundle: '',
    });
    await guest.agent.call('StartContainer', { containerId: 'box' });
    before = Number(await guest.exec('box', countLines));
    await vm.snapshot(snapshot);
    // The VM that was saved goes on, connections and all.
    expect(Number(await guest.exec('box', countLines))).toBeGreaterThanOrEqual(before);
  }
  const random = new Set<string>();
  for (const name of ['a', 'b']) {
    const cloneVsock = files.path(`agent-${name}.vsock`);
    const server = AgentGuest.listen(cloneVsock);
    const devices = { vsock: { guestCid: 3, path: cloneVsock } };
    await using clone = await restoreVm(snapshot, { devices }, { log: () => undefined });
    clone.start();
    using guest = await AgentGuest.greet(server, cloneVsock);
    const asked = Date.now() / 1000;
    const lookAround = ['sh', '-c', 'date +%s; head -c 16 /dev/urandom | md5sum; wc -l < /kept-open'];
    const [time, randomness = '', count] = (await guest.exec('box', lookAround)).split('\n');
    expect(Math.abs(Number(time) - asked)).toBeLessThan(30);
    expect(Number(count)).toBeGreaterThanOrEqual(before);
    random.add(randomness);
    await clone.shutdown('agent');
    expect(await clone.stopped).toEqual({ kind: 'guest-reset' });
  }
  expect(random.size).toBe(2);
});
