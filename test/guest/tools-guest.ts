// A guest whose root is that of the host the tests run on, read-only: all of its tools are there. It runs one Python program of
// test/guest/programs, which reports each check by a line.
import { join } from 'node:path';
import { type GuestFiles, KERNEL, QUIET, type Started, start } from './tsvm-harness.ts';

const PROGRAMS = join(import.meta.dirname, 'programs');
/** The host's root file system, which nobody writes to (images/host). */
const ROOT_DISK = '/dev/vda';

/** For all that a program does, and again as much on a machine that has other work too. */
export const TOOLS_GUEST_TIMEOUT_MS = 300_000;

const INIT = `mount -t erofs -o ro /dev/vda /mnt
for folder in tmp run mnt; do mount -t tmpfs tmpfs /mnt/$folder; done
mkdir -p /mnt/run/program; cp /program/* /mnt/run/program
for folder in dev proc sys; do mount -o bind /$folder /mnt/$folder; done
mkdir -p /dev/shm; mount -t tmpfs tmpfs /dev/shm
chroot /mnt /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONDONTWRITEBYTECODE=1 python3 /run/program/main.py
echo "program ended with $?"`;

/** What a check came to: 'ok' or what was wrong. */
export type Checks = ReadonlyMap<string, string>;

export interface ToolsGuest extends Started {
  /** Settles when the guest has ended. @throws Error when its program did not come to its end (rejects) */
  readonly checks: Promise<Checks>;
  /** Settles once the program has said this, or the guest has ended. */
  said(text: string): Promise<void>;
}

/**
 * Boots it. Its own disks begin with vdb.
 * @param program file in test/guest/programs
 */
export function startToolsGuest(files: GuestFiles, program: string, ...more: readonly string[]): ToolsGuest {
  const initrd = files.initramfs(program, INIT, {
    'program/main.py': join(PROGRAMS, program),
    'program/checks.py': join(PROGRAMS, 'checks.py'),
  });
  const args = ['--kernel', KERNEL, '--initrd', initrd, '--cmdline', QUIET, '--memory', '256M', '--timeout', '290'];
  const child = start(['boot', ...args, '--disk', `${ROOT_DISK},ro`, ...more], 'pipe');
  const checks = child.ended.then(({ stdout, stderr }) => {
    if (!stdout.includes('program ended with 0')) throw new Error(`${program} did not end well:\n${stdout}\n${stderr}`);
    const lines = stdout.matchAll(/^check ([^:\r\n]+): (.*?)\r?$/gm);
    return new Map([...lines].map(([, name = '', result = '']) => [name, result]));
  });
  // Whoever waits for it sees the rejection; nobody else has to.
  checks.catch(() => {});
  return Object.assign(child, { checks, said: (text: string) => untilSaid(child, text) });
}

async function untilSaid(child: Started, text: string): Promise<void> {
  const said = new Promise<void>((resolve) => {
    let output = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes(text)) resolve();
    });
  });
  await Promise.race([said, child.ended]);
}
