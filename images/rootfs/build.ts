// The root file system of the tests and the quick start: Debian's static busybox, its applets, and the few files that
// programs look for. A plain folder, used as the `rootfs` of a bundle.
import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { cached } from '../../scripts/lib/cache.ts';
import { buildDirectory } from '../../scripts/lib/paths.ts';
import { run } from '../../scripts/lib/run.ts';

const BUSYBOX = ['/usr/bin/busybox', '/bin/busybox'].find((path) => existsSync(path)) ?? '/bin/busybox';
const DIRECTORIES = [
  'bin',
  'dev',
  'etc',
  'proc',
  'root',
  'sbin',
  'sys',
  'tmp',
  'usr/bin',
  'usr/sbin',
  'var',
  'run',
  'home',
];
const FILES: Readonly<Record<string, string>> = {
  'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/sh\n',
  'etc/group': 'root:x:0:\nnogroup:x:65534:\n',
  'etc/hosts': '127.0.0.1 localhost\n::1 localhost\n',
};

/** Builds the root file system. @returns its folder, `build/guest/rootfs` */
export async function buildRootfs(): Promise<string> {
  const inputs = { files: [BUSYBOX, import.meta.filename] };
  const built = await cached('rootfs', inputs, async (output) => {
    for (const directory of DIRECTORIES) mkdirSync(join(output, directory), { recursive: true });
    chmodSync(join(output, 'tmp'), 0o1777);
    for (const [name, text] of Object.entries(FILES)) writeFileSync(join(output, name), text);
    copyFileSync(BUSYBOX, join(output, 'bin/busybox'));
    chmodSync(join(output, 'bin/busybox'), 0o755);
    const applets = (await run(BUSYBOX, ['--list-full'])).trim().split('\n');
    for (const applet of applets.filter((path) => path !== 'bin/busybox')) {
      mkdirSync(join(output, dirname(applet)), { recursive: true });
      symlinkSync('/bin/busybox', join(output, applet));
    }
    chmodSync(output, 0o755);
  });
  const target = join(buildDirectory, 'guest/rootfs');
  mkdirSync(dirname(target), { recursive: true });
  rmSync(target, { recursive: true, force: true });
  await run('cp', ['-a', built, target]);
  return target;
}

if (import.meta.main) process.stdout.write(`${await buildRootfs()}\n`);
