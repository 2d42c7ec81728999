// Builds the guest agent: TypeScript to one file (esbuild), to bytecode (qjsc), to a static program (musl). Run directly:
// `node guest-agent/build.ts`.

import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as bundle } from 'esbuild';
import { cached, publish } from '../scripts/lib/cache.ts';
import { openDebianRelease } from '../scripts/lib/debian.ts';
import { buildDirectory, projectDirectory } from '../scripts/lib/paths.ts';
import { startStep } from '../scripts/lib/progress.ts';
import { run } from '../scripts/lib/run.ts';

const directory = dirname(fileURLToPath(import.meta.url));
const nativeDirectory = join(directory, 'native');

/** Largest size of the agent, bytes: it is in every guest's memory. */
export const AGENT_SIZE_MAX = 1_500_000;

interface PinnedSource {
  readonly suite: string;
  readonly package: string;
  readonly version: string;
}

// Hardening that costs nothing here. No -fPIE: the kernel places a static program of one thread well enough, and PIE costs size.
const FLAGS = ['-Os', '-fstack-protector-strong', '-D_FORTIFY_SOURCE=2', '-ffunction-sections', '-fdata-sections'];
const OWN_FLAGS = [...FLAGS, '-std=gnu11', '-Wall', '-Wextra', '-Werror', '-Wshadow', '-Wformat=2'];
// QuickJS relies on signed overflow (its own Makefile), and is not ours to make free of warnings.
const QUICKJS_FLAGS = [...FLAGS, '-fwrapv', '-w', '-D_GNU_SOURCE', '-fno-asynchronous-unwind-tables'];
const LINK_FLAGS = ['-static', '-Wl,--gc-sections', '-Wl,-z,relro,-z,now', '-Wl,-z,noexecstack', '-s'];

/** The engine; quickjs-libc, its own operating system module, is for qjsc alone. */
const ENGINE_FILES = ['cutils', 'dtoa', 'libunicode', 'libregexp', 'quickjs'];
const COMPILER_FILES = ['qjsc', 'quickjs-libc', ...ENGINE_FILES];

/**
 * An atom that a bare context makes, beside those that are predefined; it follows `ATOM_BEFORE` in quickjs-atom.h. Predefined as
 * well, it leaves the atoms of bytecode the numbers that qjsc gave them, and main.c can run bytecode where it is.
 */
const ATOM = 'DEF(AggregateError, "AggregateError")\n';
const ATOM_BEFORE = 'DEF(InternalError, "InternalError")\n';

async function compilerVersion(): Promise<string> {
  return (await run('musl-gcc', ['--version'])).split('\n')[0] ?? '';
}

function pinnedQuickjs(): PinnedSource {
  return JSON.parse(readFileSync(join(projectDirectory, 'versions.json'), 'utf8')).quickjs;
}

/** Fetches and compiles QuickJS. @returns a folder with quickjs.h, libquickjs.a and qjsc */
async function buildQuickjs(): Promise<string> {
  const pinned = pinnedQuickjs();
  const values = [JSON.stringify(pinned), await compilerVersion(), ...QUICKJS_FLAGS, ...COMPILER_FILES, ATOM];
  return await cached('quickjs', { values }, async (output) => {
    using step = startStep('building QuickJS', COMPILER_FILES.length + ENGINE_FILES.length);
    const scratch = mkdtempSync(join(tmpdir(), 'tskata-quickjs-'));
    try {
      const source = await fetchSource(pinned, scratch);
      predefineAtom(join(source, 'quickjs-atom.h'));
      const version = readFileSync(join(source, 'VERSION'), 'utf8').trim();
      let done = 0;
      const compile = async (compiler: string, names: readonly string[], kind: string): Promise<string[]> => {
        const objects: string[] = [];
        for (const name of names) {
          const object = join(scratch, `${name}.${kind}.o`);
          const define = `-DCONFIG_VERSION="${version}"`;
          // Relative: the name of the file is in the program, in the text of each assertion.
          await run(compiler, [...QUICKJS_FLAGS, define, '-c', '-o', object, `${name}.c`], { cwd: source });
          objects.push(object);
          step.update(++done, COMPILER_FILES.length + ENGINE_FILES.length, name);
        }
        return objects;
      };
      // Two at a time: one for the machine that compiles, one for the guest.
      const [compilerObjects, engineObjects] = await Promise.all([
        compile('gcc', COMPILER_FILES, 'host'),
        compile('musl-gcc', ENGINE_FILES, 'guest'),
      ]);
      await run('gcc', ['-o', join(output, 'qjsc'), ...compilerObjects, '-lm', '-ldl', '-lpthread']);
      await run('ar', ['rcs', join(output, 'libquickjs.a'), ...engineObjects]);
      copyFileSync(join(source, 'quickjs.h'), join(output, 'quickjs.h'));
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
}

function predefineAtom(header: string): void {
  const text = readFileSync(header, 'utf8');
  if (text.includes(ATOM)) return;
  const changed = text.replace(ATOM_BEFORE, ATOM_BEFORE + ATOM);
  if (changed === text)
    throw new Error(`${header} has no line ${ATOM_BEFORE.trim()}: look where ${ATOM.trim()} belongs now`);
  writeFileSync(header, changed);
}

async function fetchSource(pinned: PinnedSource, folder: string): Promise<string> {
  const release = await openDebianRelease(pinned.suite);
  const versions = await release.sourceVersions(pinned.package);
  const version = versions.includes(pinned.version) ? pinned.version : versions[0];
  if (version === undefined) throw new Error(`Debian ${pinned.suite} has no source package ${pinned.package}`);
  if (version !== pinned.version) {
    process.stderr.write(
      `tskata: ${pinned.package} ${pinned.version} is no longer in Debian ${pinned.suite}: building ${version}\n`,
    );
  }
  return await release.downloadSource(pinned.package, version, folder);
}

/** Bundles TypeScript. @param entry from the project's root. @returns one JavaScript module that imports nothing but `tskata-sys` */
export async function bundleProgram(entry: string): Promise<string> {
  const result = await bundle({
    entryPoints: [join(projectDirectory, entry)],
    absWorkingDir: projectDirectory,
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    // What QuickJS understands.
    target: 'es2023',
    external: ['tskata-sys'],
    // Names and lines stay: they are in error messages and backtraces.
    minifySyntax: true,
    legalComments: 'none',
    tsconfig: join(directory, 'tsconfig.json'),
    logLevel: 'error',
  });
  const [file] = result.outputFiles;
  if (file === undefined) throw new Error(`esbuild gave no output for ${entry}`);
  return file.text;
}

/** Builds the agent unless the same has been built before. @returns its path: build/guest/agent */
export async function buildAgent(): Promise<string> {
  return await buildEngineProgram('agent', 'guest-agent/src/main.ts', 'guest/agent');
}

/**
 * Builds a program on the agent's engine, unless the same has been built before.
 * @param name in messages of the engine, behind `tskata-`
 * @param entry module, from the project's root, that exports `turn`, which main.c calls for ever
 * @param place in the folder `build`
 * @returns its path
 */
export async function buildEngineProgram(name: string, entry: string, place: string): Promise<string> {
  const [quickjs, script, compiler] = await Promise.all([buildQuickjs(), bundleProgram(entry), compilerVersion()]);
  const flags = [...OWN_FLAGS, `-DPROGRAM_NAME="tskata-${name}"`];
  const inputs = { files: [nativeDirectory], values: [script, basename(quickjs), compiler, ...flags, ...LINK_FLAGS] };
  const artefact = await cached(name, inputs, async (output) => {
    using _step = startStep(`building the program ${name}`);
    const scratch = mkdtempSync(join(tmpdir(), `tskata-${name}-`));
    try {
      await compileProgram(script, quickjs, flags, scratch, join(output, name));
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  });
  return publish(join(artefact, name), join(buildDirectory, place));
}

async function compileProgram(
  script: string,
  quickjs: string,
  flags: readonly string[],
  scratch: string,
  output: string,
): Promise<void> {
  // Relative names: the path of the script is in every backtrace.
  await run('sh', ['-c', 'cat > agent.js'], { cwd: scratch, input: script });
  const names = ['-c', '-m', '-M', 'tskata-sys,sys', '-N', 'agent_bytecode', '-o', 'bytecode.c', 'agent.js'];
  await run(join(quickjs, 'qjsc'), names, { cwd: scratch });
  const sources = [join(nativeDirectory, 'main.c'), join(nativeDirectory, 'sys.c'), 'bytecode.c'];
  const library = join(quickjs, 'libquickjs.a');
  const libraries = [library, '-lm'];
  await run('musl-gcc', [...flags, '-isystem', quickjs, ...LINK_FLAGS, '-o', output, ...sources, ...libraries], {
    cwd: scratch,
  });
}

if (import.meta.main) {
  const path = await buildAgent();
  process.stdout.write(`${path}: ${statSync(path).size} bytes\n`);
}
