// The programs of the benchmarks of VMs: one that starts a VMM and meets its guest, and the guest's own first program.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { cached, publish } from '../../scripts/lib/cache.ts';
import { buildDirectory } from '../../scripts/lib/paths.ts';
import { run } from '../../scripts/lib/run.ts';

const FOLDER = join(buildDirectory, 'bench');
const FLAGS = ['-static', '-O2', '-s', '-Wall', '-Wextra', '-Werror'];

/** Starts a VMM: see host.c. */
export const BENCH_HOST = join(FOLDER, 'bench-host');
/** An initramfs whose first program measures: see guest.c. */
export const BENCH_INITRAMFS = join(FOLDER, 'guest.cpio');

/** Builds both into build/bench. */
export async function buildBenchPrograms(): Promise<void> {
  const here = import.meta.dirname;
  const files = ['host.c', 'guest.c', 'peer.h', 'programs.ts'].map((name) => join(here, name));
  const address = await cached('bench-programs', { files }, async (output) => {
    const tree = join(output, 'tree');
    for (const name of ['dev', 'proc', 'mnt']) mkdirSync(join(tree, name), { recursive: true });
    await run('musl-gcc', [...FLAGS, '-o', join(output, 'bench-host'), join(here, 'host.c')]);
    await run('musl-gcc', [...FLAGS, '-o', join(tree, 'init'), join(here, 'guest.c')]);
    const options = ['--create', '--format=newc', '--owner=+0:+0', '--quiet', `--file=${join(output, 'guest.cpio')}`];
    await run('cpio', options, { cwd: tree, input: '.\ndev\nproc\nmnt\ninit\n' });
  });
  publish(join(address, 'bench-host'), BENCH_HOST);
  publish(join(address, 'guest.cpio'), BENCH_INITRAMFS);
}
