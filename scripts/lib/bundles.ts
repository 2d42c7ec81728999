// Makes of a program one file for Node, with what V8 has compiled of it, and one more of each verb that the program may load.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';
import { build, type Plugin } from 'esbuild';
import { projectDirectory } from './paths.ts';

/** Packages that are large, and that few verbs use: each a bundle of its own, loaded when a verb needs it. */
const SEPARATE_PACKAGES: Readonly<Record<string, string>> = { grpc: '@grpc/grpc-js', pino: 'pino', toml: 'smol-toml' };

/** Where verbs are named, each of which is a bundle of its own: who calls one does not load the others. */
const VERB_TABLES = ['tskata.ts', 'tsvm.ts', 'tsvm-ctl-commands.ts'].map((name) =>
  join(projectDirectory, 'src/cli', name),
);
const VERB_IMPORT = /\bimport\('\.\/(ts(?:kata|vm)-[\w-]+)\.ts'\)/g;

function verbs(): Record<string, string> {
  const texts = VERB_TABLES.map((table) => readFileSync(table, 'utf8')).join('\n');
  const names = [...texts.matchAll(VERB_IMPORT)].map(([, name = '']) => name);
  return Object.fromEntries(names.map((name) => [name, join(projectDirectory, 'src/cli', `${name}.ts`)]));
}

/** Leaves to the loader what is a bundle of its own. */
const separateBundles: Plugin = {
  name: 'separate-bundles',
  setup({ onResolve }) {
    for (const [bundle, name] of Object.entries(SEPARATE_PACKAGES)) {
      const filter = new RegExp(['^', name, '$'].join(''));
      onResolve({ filter }, ({ kind }) =>
        kind === 'entry-point' ? undefined : { path: `./${bundle}`, external: true },
      );
    }
    onResolve({ filter: /^\.\/ts(?:kata|vm)-[\w-]+\.ts$/ }, ({ kind, importer, path }) =>
      kind === 'dynamic-import' && VERB_TABLES.includes(importer)
        ? { path: path.replace(/\.ts$/, ''), external: true }
        : undefined,
    );
  },
};

/** Makes Node take the .js files beside it, and those without a suffix, for CommonJS. */
export const COMMONJS_PACKAGE = '{ "type": "commonjs" }\n';

/**
 * What starts a program. CommonJS, as the bundles are: the loader for ES modules takes longer to start than all our code.
 * @param folder of the bundles, as an expression in JavaScript
 */
export function startOf(program: string, folder: string): string {
  const loader = readFileSync(join(import.meta.dirname, 'bundle-loader.cjs'), 'utf8');
  return `const folder = ${folder};\n${loader}\nload('${program}-main');\n`;
}

/** The parameters are what the loader passes; `__url` stands for `import.meta.url`. */
const HEAD = '(function (exports, require, module, __filename, __dirname, __url) {';
const TAIL = '})';

/**
 * V8's code of a whole bundle, that of functions which are called late or never included: code that is missing is compiled at each
 * start anew. V8 takes it only by the same version of Node with the same flags, and compiles the bundle itself otherwise.
 */
function compile(source: string): Buffer {
  setFlagsFromString('--no-lazy');
  const script = new Script(source);
  setFlagsFromString('--lazy');
  return script.createCachedData();
}

/**
 * Bundles programs into a folder, whose place the new one takes as a whole. Each is `NAME.js` there, for Node to run.
 * @param sources folder with the file with which each begins, `NAME.ts`
 */
export async function bundlePrograms(folder: string, sources: string, names: readonly string[]): Promise<void> {
  const staging = `${folder}.${process.pid}`;
  const mains = names.map((name) => [`${name}-main`, join(sources, `${name}.ts`)]);
  try {
    await build({
      entryPoints: { ...Object.fromEntries(mains), ...verbs(), ...SEPARATE_PACKAGES },
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
      banner: { js: HEAD },
      footer: { js: TAIL },
      logLevel: 'warning',
    });
    for (const name of readdirSync(staging).filter((file) => file.endsWith('.js'))) {
      const path = join(staging, name);
      // The loader reads it as Latin-1, which V8 keeps as it is. esbuild writes ASCII.
      writeFileSync(path.replace(/\.js$/, '.code'), compile(readFileSync(path, 'latin1')));
    }
    for (const name of names) writeFileSync(join(staging, `${name}.js`), startOf(name, '__dirname'));
    writeFileSync(join(staging, 'package.json'), COMMONJS_PACKAGE);
    replaceDirectory(staging, folder);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

/** Puts `fresh` in the place of `target`; a program that starts meanwhile finds one or the other, but for an instant. */
function replaceDirectory(fresh: string, target: string): void {
  const old = `${fresh}.old`;
  mkdirSync(target, { recursive: true });
  renameSync(target, old);
  renameSync(fresh, target);
  rmSync(old, { recursive: true, force: true });
}
