// Builds the guest kernel: Debian's source, the fragments of this folder, one ELF vmlinux.
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { cached, type Inputs, publish } from '../scripts/lib/cache.ts';
import { buildDirectory, projectDirectory } from '../scripts/lib/paths.ts';
import { startStep } from '../scripts/lib/progress.ts';
import { run } from '../scripts/lib/run.ts';
import { checkConfig, readFragments } from './check.ts';
import { renderWants, type Want } from './fragment.ts';
import { type KernelPin, readPin, unpackSource, VersionGoneError } from './source.ts';

/** Lines of make's output that stand for a compiled file, and how many of them a whole build prints: for the bar only. */
const COMPILE_LINE = /^ {2}(?:CC|AS) /;
const COMPILE_LINES = 1115;

/** What would differ from machine to machine and from day to day is fixed, so that the same inputs give the same bytes. */
const REPRODUCIBLE = {
  KBUILD_BUILD_TIMESTAMP: '2025-01-01 00:00:00 UTC',
  KBUILD_BUILD_VERSION: '1',
  KBUILD_BUILD_USER: 'tskata',
  KBUILD_BUILD_HOST: 'tskata',
  LC_ALL: 'C',
};

/** Sections that neither a loader nor the kernel reads. */
const UNUSED_SECTIONS = ['.comment'];

async function make(tree: string, args: readonly string[], onLine?: (line: string) => void): Promise<void> {
  const env = { ...process.env, ...REPRODUCIBLE };
  await run('make', ['ARCH=x86_64', ...args], { cwd: tree, env, ...(onLine === undefined ? {} : { onLine }) });
}

/** Everything the kernel is made from. Comments in fragments do not count. */
async function kernelInputs(pin: KernelPin, wants: readonly Want[]): Promise<Inputs> {
  const tools = await Promise.all(['gcc', 'ld'].map((tool) => run(tool, ['--version'])));
  return {
    files: [join(projectDirectory, 'kernel-config/build.ts')],
    values: [pin.suite, pin.package, pin.version, renderWants(wants), ...tools],
  };
}

/** Compiles into the folder: `vmlinux`, `kernel.config`, and `System.map` to decode the addresses of a panic with. */
async function compile(pin: KernelPin, wants: readonly Want[], output: string): Promise<void> {
  const scratch = join(output, 'scratch');
  mkdirSync(scratch);
  const tree = await unpackSource(pin, scratch);
  const wanted = join(scratch, 'wanted.config');
  writeFileSync(wanted, renderWants(wants));
  await make(tree, [`KCONFIG_ALLCONFIG=${wanted}`, 'allnoconfig']);
  checkConfig(wants, await readFile(join(tree, '.config'), 'utf8'));

  using step = startStep('building the guest kernel', COMPILE_LINES);
  let done = 0;
  await make(tree, [`-j${availableParallelism()}`, 'vmlinux'], (line) => {
    if (COMPILE_LINE.test(line)) step.update(++done, Math.max(done, COMPILE_LINES));
  });
  const remove = UNUSED_SECTIONS.flatMap((name) => ['-R', name]);
  await run('strip', ['--strip-all', ...remove, '-o', join(output, 'vmlinux'), join(tree, 'vmlinux')]);
  copyFileSync(join(tree, '.config'), join(output, 'kernel.config'));
  copyFileSync(join(tree, 'System.map'), join(output, 'System.map'));
  rmSync(scratch, { recursive: true });
}

async function build(pin: KernelPin, wants: readonly Want[]): Promise<string> {
  return await cached('guest-kernel', await kernelInputs(pin, wants), (output) => compile(pin, wants, output));
}

/**
 * Builds the guest kernel, or finds it in the cache, and copies it to build/guest (`vmlinux`, `kernel.config`).
 * Needs no network when the cache holds a build of the pinned version.
 * @returns path of vmlinux in the cache
 * @throws FragmentError, KernelConfigError, CommandError
 */
export async function buildKernel(): Promise<string> {
  const pin = readPin();
  const wants = readFragments();
  let folder: string;
  try {
    folder = await build(pin, wants);
  } catch (error) {
    if (!(error instanceof VersionGoneError)) throw error;
    process.stderr.write(`tskata: ${error.message}; building ${error.newest} this time\n`);
    folder = await build({ ...pin, version: error.newest }, wants);
  }
  for (const name of ['vmlinux', 'kernel.config']) publish(join(folder, name), join(buildDirectory, 'guest', name));
  return join(folder, 'vmlinux');
}

if (import.meta.main) console.log(await buildKernel());
