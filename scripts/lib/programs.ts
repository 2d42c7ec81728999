// Bundles the programs of the host (src/bin) into build/dist and writes their launchers into build/bin.
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { buildDirectory, pinnedNode, projectDirectory } from './paths.ts';

const PROGRAMS = ['tskata', 'tsvm', 'sandbox'] as const;
/** The programs that a person or an engine starts by name; the others are started by these. */
const LAUNCHED = ['tskata', 'tsvm'] as const;

/** Packages that are large, and that few verbs use: each a bundle of its own, loaded when a verb needs it. */
const SEPARATE_PACKAGES: Readonly<Record<string, string>> = { grpc: '@grpc/grpc-js' };

const separatePackages: Plugin = {
  name: 'separate-packages',
  setup({ onResolve }) {
    for (const [bundle, name] of Object.entries(SEPARATE_PACKAGES)) {
      const filter = new RegExp(['^', name, '$'].join(''));
      onResolve({ filter }, ({ kind }) =>
        kind === 'entry-point' ? undefined : { path: `./${bundle}.js`, external: true },
      );
    }
  },
};

/** Makes Node take the .js files beside it, and those without a suffix, for CommonJS. */
const COMMONJS_PACKAGE = '{ "type": "commonjs" }\n';

/**
 * A program is `NAME.js`, a few lines that switch on V8's compile cache before `NAME-main.js` is loaded: with it a verb does
 * not compile its code again at each start. Both are CommonJS: the loader for ES modules takes longer to start than all our code.
 */
function stub(name: string): string {
  return `require('node:module').enableCompileCache(require('node:path').join(__dirname, '../compile-cache'));
require('./${name}-main.js');
`;
}

/** Linux reads 256 bytes of a script for its first line (BINPRM_BUF_SIZE); `#!` and the end of the line take three. */
const MAXIMUM_INTERPRETER = 253;

/** Without a shell, where the kernel takes Node for an interpreter. Absolute paths: podman's verbs have no PATH. */
function launcher(name: string): string {
  const program = join(buildDirectory, 'dist', `${name}.js`);
  const canBeInterpreter = !/\s/.test(pinnedNode) && pinnedNode.length <= MAXIMUM_INTERPRETER;
  return canBeInterpreter
    ? `#!${pinnedNode}\nrequire(${JSON.stringify(program)});\n`
    : `#!/bin/sh\nexec '${pinnedNode}' '${program}' "$@"\n`;
}

/** Bundles all programs; a second's work, so it is not cached. @returns the folder of the launchers */
export async function buildPrograms(): Promise<string> {
  const outdir = join(buildDirectory, 'dist');
  const bin = join(buildDirectory, 'bin');
  const staging = `${outdir}.${process.pid}`;
  const mains = PROGRAMS.map((name) => [`${name}-main`, join(projectDirectory, 'src/bin', `${name}.ts`)]);
  try {
    await build({
      entryPoints: { ...Object.fromEntries(mains), ...SEPARATE_PACKAGES },
      absWorkingDir: projectDirectory,
      outdir: staging,
      bundle: true,
      minifySyntax: true,
      minifyWhitespace: true,
      platform: 'node',
      target: 'node24',
      format: 'cjs',
      external: ['koffi'],
      plugins: [separatePackages],
      sourcemap: 'linked',
      define: { 'import.meta.url': '__url', 'import.meta.dirname': '__dirname' },
      banner: { js: readFileSync(join(import.meta.dirname, 'bundle-head.cjs'), 'utf8') },
      logLevel: 'warning',
    });
    for (const name of PROGRAMS) writeFileSync(join(staging, `${name}.js`), stub(name));
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
