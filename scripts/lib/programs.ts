// Bundles the programs of the host (src/bin) into build/dist and writes their launchers into build/bin.
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { buildDirectory, pinnedNode, projectDirectory } from './paths.ts';

const PROGRAMS = ['tskata', 'tsvm', 'sandbox'] as const;
/** The programs that a person or an engine starts by name; the others are started by these. */
const LAUNCHED = ['tskata', 'tsvm'] as const;

/** Packages that are large, and that few verbs use: each a bundle of its own, loaded when a verb needs it. */
const SEPARATE_PACKAGES: Readonly<Record<string, string>> = { grpc: '@grpc/grpc-js', pino: 'pino', toml: 'smol-toml' };

/** Where the verbs of tskata are named, each of which is a bundle of its own: who calls one does not load the others. */
const VERB_TABLE = join(projectDirectory, 'src/cli/tskata.ts');
const VERB_IMPORT = /\bimport\('\.\/(tskata-[\w-]+)\.ts'\)/g;

function verbNames(): string[] {
  return [...readFileSync(VERB_TABLE, 'utf8').matchAll(VERB_IMPORT)].map(([, name = '']) => name);
}

/** Leaves to Node's `require` what is a bundle of its own. */
const separateBundles: Plugin = {
  name: 'separate-bundles',
  setup({ onResolve }) {
    for (const [bundle, name] of Object.entries(SEPARATE_PACKAGES)) {
      const filter = new RegExp(['^', name, '$'].join(''));
      onResolve({ filter }, ({ kind }) =>
        kind === 'entry-point' ? undefined : { path: `./${bundle}.js`, external: true },
      );
    }
    onResolve({ filter: /^\.\/tskata-[\w-]+\.ts$/ }, ({ kind, importer, path }) =>
      kind === 'dynamic-import' && importer === VERB_TABLE
        ? { path: path.replace(/\.ts$/, '.js'), external: true }
        : undefined,
    );
  },
};

/** Makes Node take the .js files beside it, and those without a suffix, for CommonJS. */
const COMMONJS_PACKAGE = '{ "type": "commonjs" }\n';

/**
 * A program is `NAME.js`, a few lines that switch on V8's compile cache before `NAME-main.js` is loaded: with it a verb does
 * not compile its code again at each start. Both are CommonJS: the loader for ES modules takes longer to start than all our code.
 * @param folder of the bundles, as an expression in JavaScript
 */
function stub(name: string, folder: string): string {
  return `require('node:module').enableCompileCache(${folder} + '/../compile-cache');
require(${folder} + '/${name}-main.js');
`;
}

/** Linux reads 256 bytes of a script for its first line (BINPRM_BUF_SIZE); `#!` and the end of the line take three. */
const MAXIMUM_INTERPRETER = 253;

/**
 * Without a shell, where the kernel takes Node for an interpreter, and then the stub itself: each file that Node loads is time.
 * Absolute paths: podman's verbs have no PATH.
 */
function launcher(name: string): string {
  const dist = join(buildDirectory, 'dist');
  const canBeInterpreter = !/\s/.test(pinnedNode) && pinnedNode.length <= MAXIMUM_INTERPRETER;
  return canBeInterpreter
    ? `#!${pinnedNode}\n${stub(name, JSON.stringify(dist))}`
    : `#!/bin/sh\nexec '${pinnedNode}' '${join(dist, `${name}.js`)}' "$@"\n`;
}

/** Bundles all programs; a second's work, so it is not cached. @returns the folder of the launchers */
export async function buildPrograms(): Promise<string> {
  const outdir = join(buildDirectory, 'dist');
  const bin = join(buildDirectory, 'bin');
  const staging = `${outdir}.${process.pid}`;
  const mains = PROGRAMS.map((name) => [`${name}-main`, join(projectDirectory, 'src/bin', `${name}.ts`)]);
  const verbs = verbNames().map((name) => [name, join(projectDirectory, 'src/cli', `${name}.ts`)]);
  try {
    await build({
      entryPoints: { ...Object.fromEntries([...mains, ...verbs]), ...SEPARATE_PACKAGES },
      absWorkingDir: projectDirectory,
      outdir: staging,
      bundle: true,
      minifySyntax: true,
      minifyWhitespace: true,
      platform: 'node',
      target: 'node24',
      format: 'cjs',
      external: ['koffi'],
      // As require: import() would start the loader for ES modules.
      supported: { 'dynamic-import': false },
      plugins: [separateBundles],
      sourcemap: 'linked',
      define: { 'import.meta.url': '__url', 'import.meta.dirname': '__dirname' },
      banner: { js: readFileSync(join(import.meta.dirname, 'bundle-head.cjs'), 'utf8') },
      logLevel: 'warning',
    });
    for (const name of PROGRAMS) writeFileSync(join(staging, `${name}.js`), stub(name, '__dirname'));
    writeFileSync(join(staging, 'package.json'), COMMONJS_PACKAGE);
    replaceDirectory(staging, outdir);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'package.json'), COMMONJS_PACKAGE);
  for (const name of LAUNCHED) {
    const path = join(bin, name);
    writeFileSync(`${path}.${process.pid}`, launcher(name));
    chmodSync(`${path}.${process.pid}`, 0o755);
    renameSync(`${path}.${process.pid}`, path);
  }
  return bin;
}

/** Puts `fresh` in the place of `target`; a program that starts meanwhile finds one or the other, but for an instant. */
function replaceDirectory(fresh: string, target: string): void {
  const old = `${fresh}.old`;
  if (existsSync(target)) renameSync(target, old);
  renameSync(fresh, target);
  rmSync(old, { recursive: true, force: true });
}
