// Kernels of Debian releases, for tests: the bzImage as it is shipped, and the modules that its guests load.
// Run directly: `node images/stock-kernels/build.ts`.
import { copyFileSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { cached, publish } from '../../scripts/lib/cache.ts';
import { openDebianRelease } from '../../scripts/lib/debian.ts';
import { buildDirectory } from '../../scripts/lib/paths.ts';
import { startStep } from '../../scripts/lib/progress.ts';
import { run } from '../../scripts/lib/run.ts';

interface StockKernel {
  /** Folder below build/guest/stock. */
  readonly name: string;
  readonly suite: string;
  /** Meta package that depends on the newest kernel of its kind. */
  readonly package: string;
  /** What it has beyond MODULES. */
  readonly moreModules: readonly string[];
}

const KERNELS: readonly StockKernel[] = [
  { name: '6.1', suite: 'bookworm', package: 'linux-image-cloud-amd64', moreModules: [] },
  { name: '6.12', suite: 'trixie', package: 'linux-image-cloud-amd64', moreModules: ['vmgenid'] },
  { name: '6.1-generic', suite: 'bookworm', package: 'linux-image-amd64', moreModules: [] },
  { name: '6.12-generic', suite: 'trixie', package: 'linux-image-amd64', moreModules: ['vmgenid'] },
];

/** What the machine has devices for, and what reads their events. Some kernels have some of them built in. */
const MODULES = [
  'virtio_mmio',
  'virtio_blk',
  'virtio_net',
  'virtio_console',
  'virtio_rng',
  'virtio_balloon',
  'vmw_vsock_virtio_transport',
  'virtiofs',
  'button',
  'evdev',
  'pvpanic-mmio',
];

/**
 * Gives build/guest/stock: for each kernel a folder with `bzImage`, `modules/*.ko` (unpacked) and `modules/order`, their
 * file names in an order in which insmod takes them.
 * @returns its path
 */
export async function buildStockKernels(): Promise<string> {
  const place = join(buildDirectory, 'guest/stock');
  for (const kernel of KERNELS) {
    const inputs = { values: [kernel.suite, kernel.package, ...MODULES, ...kernel.moreModules, 'layout 1'] };
    const artefact = await cached('stock-kernel', inputs, (output) => fetchKernel(kernel, output));
    for (const entry of readdirSync(artefact, { recursive: true, withFileTypes: true }).filter((file) =>
      file.isFile(),
    )) {
      const path = relative(artefact, join(entry.parentPath, entry.name));
      publish(join(artefact, path), join(place, kernel.name, path));
    }
  }
  return place;
}

async function fetchKernel({ suite, package: metaPackage, moreModules }: StockKernel, output: string): Promise<void> {
  using _step = startStep(`downloading ${metaPackage} of Debian ${suite}`);
  const release = await openDebianRelease(suite);
  const version = await release.newestVersion(metaPackage);
  const dependencies = await release.dependencies(metaPackage, version);
  const imagePackage = dependencies.find((name) => name.startsWith('linux-image-'));
  if (imagePackage === undefined)
    throw new Error(`${metaPackage} ${version} of Debian ${suite} depends on no kernel, but on ${dependencies.join()}`);
  const tree = join(output, 'tree');
  await run('dpkg-deb', ['-x', await release.downloadBinary(imagePackage, version, output), tree]);
  const kernelRelease = imagePackage.slice('linux-image-'.length);
  renameSync(join(tree, 'boot', `vmlinuz-${kernelRelease}`), join(output, 'bzImage'));
  await takeModules(tree, kernelRelease, [...MODULES, ...moreModules], join(output, 'modules'));
  rmSync(tree, { recursive: true });
  for (const name of readdirSync(output).filter((file) => file.endsWith('.deb'))) rmSync(join(output, name));
}

/** Unpacks these modules and those they need into a folder, with their order. */
async function takeModules(
  tree: string,
  kernelRelease: string,
  wanted: readonly string[],
  folder: string,
): Promise<void> {
  mkdirSync(folder);
  // Since Debian 13 the package's files are below usr/lib; modprobe and depmod look below lib.
  const base = readdirSync(tree).includes('lib') ? tree : join(tree, 'usr');
  await run('depmod', ['--basedir', base, kernelRelease]);
  const order = new Set<string>();
  for (const name of wanted) {
    const options = ['--dirname', base, '--set-version', kernelRelease, '--show-depends', name];
    const text = await run('modprobe', options);
    for (const [, path = ''] of text.matchAll(/^insmod (\S+)/gm)) order.add(path);
  }
  for (const path of order) copyFileSync(path, join(folder, basename(path)));
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.xz')))
    await run('xz', ['--decompress', join(folder, name)]);
  const names = [...order].map((path) => basename(path, '.xz'));
  writeFileSync(join(folder, 'order'), names.map((name) => `${name}\n`).join(''));
}

if (import.meta.main) process.stdout.write(`${await buildStockKernels()}\n`);
