// Bundles the programs of the host (src/bin) into build/dist and writes their launchers into build/bin.
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { buildDirectory, pinnedNode, projectDirectory } from './paths.ts';

const PROGRAMS = ['tskata', 'tsvm', 'sandbox'] as const;
/** The programs that a person or an engine starts by name; the others are started by these. */
const LAUNCHED = ['tskata', 'tsvm'] as const;

/**
 * A program is `NAME.js`, a few lines that switch on V8's compile cache before `NAME-main.js` is loaded: with it a verb does
 * not compile its code again at each start.
 */
function stub(name: string): string {
  return `import { enableCompileCache } from 'node:module';
enableCompileCache(new URL('../compile-cache', import.meta.url).pathname);
await import('./${name}-main.js');
`;
}

/** Absolute paths only: podman starts its verbs with an environment that has no PATH. */
function launcher(name: string): string {
  return `#!/bin/sh\nexec '${pinnedNode}' '${join(buildDirectory, 'dist', `${name}.js`)}' "$@"\n`;
}

/** Bundles all programs; a second's work, so it is not cached. @returns the folder of the launchers */
export async function buildPrograms(): Promise<string> {
  const outdir = join(buildDirectory, 'dist');
  const bin = join(buildDirectory, 'bin');
  const staging = `${outdir}.${process.pid}`;
  try {
    await build({
      entryPoints: Object.fromEntries(
        PROGRAMS.map((name) => [`${name}-main`, join(projectDirectory, 'src/bin', `${name}.ts`)]),
      ),
      outdir: staging,
      bundle: true,
      splitting: true,
      platform: 'node',
      target: 'node24',
      format: 'esm',
      external: ['koffi'],
      sourcemap: 'linked',
      // CommonJS packages in the bundle ask for node's own modules by require().
      banner: {
        js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
      },
      logLevel: 'warning',
    });
    for (const name of PROGRAMS) writeFileSync(join(staging, `${name}.js`), stub(name));
    replaceDirectory(staging, outdir);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  mkdirSync(bin, { recursive: true });
  for (const name of LAUNCHED) {
    writeFileSync(join(bin, name), launcher(name));
    chmodSync(join(bin, name), 0o755);
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
