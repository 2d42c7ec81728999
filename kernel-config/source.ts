// The kernel's source: Debian's linux-source package, pinned in versions.json.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cached } from '../scripts/lib/cache.ts';
import { openDebianRelease } from '../scripts/lib/debian.ts';
import { projectDirectory } from '../scripts/lib/paths.ts';
import { startStep } from '../scripts/lib/progress.ts';
import { CommandError, run } from '../scripts/lib/run.ts';

/** Which source to build: the entry `kernel` of versions.json. */
export interface KernelPin {
  /** Debian release, as in `trixie`. */
  readonly suite: string;
  /** Binary package that holds usr/src/<package>.tar.xz. */
  readonly package: string;
  /** Debian version, as in `6.12.117-1`. */
  readonly version: string;
}

/** The mirror no longer holds the pinned version: Debian keeps the newest of each release alone. */
export class VersionGoneError extends Error {
  readonly code = 'KERNEL_VERSION_GONE';
  readonly newest: string;
  constructor(pin: KernelPin, newest: string, cause: unknown) {
    super(
      `the mirror holds no ${pin.package} ${pin.version} any more, but ${newest}: change "kernel" in versions.json`,
      {
        cause,
      },
    );
    this.name = 'VersionGoneError';
    this.newest = newest;
  }
}

/** Half of the source by size: drivers that no fragment turns on. Their Kconfig files and Makefiles are needed all the same. */
const UNUSED_SOURCE = [
  '*/drivers/gpu/*.[ch]',
  '*/drivers/media/*.[ch]',
  '*/drivers/net/*/*/*.[ch]',
  '*/drivers/staging/*.[ch]',
  '*/sound/*.[ch]',
  '*/arch/*.dts*',
  '*/tools/testing/*',
  '*/Documentation/*.rst',
];

/** Reads the pin. */
export function readPin(): KernelPin {
  const versions: { kernel?: Partial<KernelPin> } = JSON.parse(
    readFileSync(join(projectDirectory, 'versions.json'), 'utf8'),
  );
  const { suite, package: packageName, version } = versions.kernel ?? {};
  if (suite === undefined || packageName === undefined || version === undefined)
    throw new Error('versions.json has no "kernel" entry with "suite", "package" and "version": restore it from git');
  return { suite, package: packageName, version };
}

/**
 * Downloads the package into the cache; apt checks it against the release's signed index.
 * @returns path of the .deb
 * @throws VersionGoneError when the mirror holds another version only
 */
async function fetchPackage(pin: KernelPin): Promise<string> {
  const folder = await cached('kernel-source', { values: [pin.suite, pin.package, pin.version] }, async (output) => {
    using _step = startStep(`downloading ${pin.package} ${pin.version} (150 MB)`);
    const release = await openDebianRelease(pin.suite);
    try {
      await run('mv', [await release.downloadBinary(pin.package, pin.version, output), join(output, 'source.deb')]);
    } catch (cause) {
      const newest = await release.newestVersion(pin.package);
      if (newest === pin.version || !(cause instanceof CommandError)) throw cause;
      throw new VersionGoneError(pin, newest, cause);
    }
  });
  return join(folder, 'source.deb');
}

/**
 * Unpacks the pinned source into a folder.
 * @returns path of the source tree
 * @throws VersionGoneError when the mirror holds another version only
 */
export async function unpackSource(pin: KernelPin, folder: string): Promise<string> {
  const file = await fetchPackage(pin);
  using _step = startStep('unpacking the kernel source');
  await run('dpkg-deb', ['-x', file, folder]);
  const exclusions = UNUSED_SOURCE.map((pattern) => `--exclude=${pattern}`);
  await run('tar', ['-xf', join(folder, 'usr/src', `${pin.package}.tar.xz`), '-C', folder, ...exclusions]);
  return join(folder, pin.package);
}
