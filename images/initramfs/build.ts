// Builds the guest's initramfs: the agent and the few places it needs before it has mounted anything. Run directly:
// `node images/initramfs/build.ts`.
import { chmodSync, copyFileSync, lutimesSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildAgent } from '../../guest-agent/build.ts';
import { cached, publish } from '../../scripts/lib/cache.ts';
import { buildDirectory } from '../../scripts/lib/paths.ts';
import { run } from '../../scripts/lib/run.ts';

/** `root` is where the agent mounts its new root; the kernel opens /dev/console for pid 1 before anything is mounted. */
const DIRECTORIES = ['dev', 'root'];
const CONSOLE = { path: 'dev/console', major: 5, minor: 1 };

/** Builds the archive unless the same has been built before. @returns its path: build/guest/initramfs.cpio */
export async function buildInitramfs(): Promise<string> {
  const agent = await buildAgent();
  const inputs = { files: [agent, fileURLToPath(import.meta.url)] };
  const artefact = await cached('initramfs', inputs, (output) => writeArchive(agent, join(output, 'initramfs.cpio')));
  return publish(join(artefact, 'initramfs.cpio'), join(buildDirectory, 'guest/initramfs.cpio'));
}

/** Writes the archive: the same agent gives the same bytes. Needs root, for the device node. */
export async function writeArchive(agent: string, output: string): Promise<void> {
  const tree = mkdtempSync(join(tmpdir(), 'tskata-initramfs-'));
  try {
    for (const name of DIRECTORIES) {
      mkdirSync(join(tree, name));
      chmodSync(join(tree, name), 0o755);
    }
    copyFileSync(agent, join(tree, 'init'));
    chmodSync(join(tree, 'init'), 0o755);
    await run('mknod', ['-m', '600', join(tree, CONSOLE.path), 'c', String(CONSOLE.major), String(CONSOLE.minor)]);
    const names = (readdirSync(tree, { recursive: true }) as string[]).sort();
    // Times and owners are fixed, the order is sorted, and cpio numbers the inodes itself.
    for (const name of names) lutimesSync(join(tree, name), 0, 0);
    const options = ['--create', '--format=newc', '--reproducible', '--owner=+0:+0', '--quiet', `--file=${output}`];
    await run('cpio', options, { cwd: tree, input: `${names.join('\n')}\n` });
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const path = await buildInitramfs();
  process.stdout.write(`${path}: ${statSync(path).size} bytes\n`);
}
