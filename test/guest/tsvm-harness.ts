// What the tests of `tsvm` with real guests share: starting it, reading what it prints, and making guests of busybox.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';

export const BUILD = join(import.meta.dirname, '../../build');
export const TSVM = join(BUILD, 'bin/tsvm');
export const KERNEL = join(BUILD, 'guest/vmlinux');
/** The agent's initramfs. */
export const INITRAMFS = join(BUILD, 'guest/initramfs.cpio');
/** A command line with the serial console and little on it. */
export const QUIET = 'console=ttyS0 reboot=k panic=-1 quiet';

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started extends ChildProcess {
  readonly ended: Promise<Ended>;
  /** Settles once the guest has printed this. */
  printed(text: string): Promise<void>;
}

/** Starts `tsvm`. */
export function start(args: readonly string[], input: 'pipe' | 'ignore' = 'ignore'): Started {
  const child = spawn(TSVM, args, { stdio: [input, 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk: Buffer) => {
    output.stdout += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    output.stderr += chunk.toString();
  });
  const ended = once(child, 'close').then(([status]) => ({ status: status as number | null, ...output }));
  const printed = (text: string): Promise<void> =>
    expect.poll(() => output.stdout, { timeout: 120_000, interval: 100 }).toContain(text);
  return Object.assign(child, { ended, printed });
}

/** Boots our kernel with this initramfs to its end. */
export function boot(initrd: string, ...more: string[]): Promise<Ended> {
  return start(['boot', '--kernel', KERNEL, '--initrd', initrd, '--cmdline', QUIET, '--timeout', '120', ...more]).ended;
}

/** A folder of one test file, which goes when the file's tests are done. */
export interface GuestFiles {
  /** The path of a file in it. */
  path(name: string): string;
  /**
   * Makes an initramfs of busybox and an init script, which ends in a reboot; proc, sysfs and devtmpfs are mounted.
   * @param extra further files and folders: path in the guest, path on this machine
   */
  initramfs(name: string, script: string, extra?: Readonly<Record<string, string>>): string;
}

/** Call at the top of a test file. */
export function useGuestFiles(): GuestFiles {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'tsvm-test-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return {
    path: (name) => join(folder, name),
    initramfs: (name, script, extra = {}) => {
      const tree = join(folder, `${name}.tree`);
      for (const directory of ['bin', 'dev', 'proc', 'sys', 'mnt']) {
        mkdirSync(join(tree, directory), { recursive: true });
      }
      const files = { 'bin/busybox': join(BUILD, 'guest/rootfs/bin/busybox'), ...extra };
      for (const [to, from] of Object.entries(files)) {
        mkdirSync(dirname(join(tree, to)), { recursive: true });
        cpSync(from, join(tree, to), { dereference: true, recursive: true });
      }
      const preparation = 'mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev';
      const init = `#!/bin/busybox sh\n/bin/busybox --install -s /bin\n${preparation}\n${script}\nreboot -f\n`;
      writeFileSync(join(tree, 'init'), init, { mode: 0o755 });
      const archive = join(folder, `${name}.cpio`);
      execFileSync('busybox', ['sh', '-c', `cd ${tree} && find . | busybox cpio -o -H newc > ${archive}`], {
        stdio: 'pipe',
      });
      return archive;
    },
  };
}

/** Command lines of the processes that name this path. */
export function processesNaming(path: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        return '';
      }
    })
    .filter((commandLine) => commandLine.includes(path));
}

/** Paths of the libraries that programs of this machine are linked with, their loader among them. */
export function librariesOf(...programs: readonly string[]): string[] {
  const needed = execFileSync('ldd', programs, { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g);
  return [...new Set([...needed].map(([, path = '']) => path))];
}
