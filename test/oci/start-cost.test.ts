// What a verb loads before it does anything: of Node, and of ours. Counts, since times depend on the machine.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildDirectory, pinnedNode } from '../../scripts/lib/paths.ts';

const PROGRAM = join(buildDirectory, 'dist/tskata.js');
const PROBE = `process.on('exit', () => {
  const loaded = { builtins: process.moduleLoadList, files: Object.keys(require.cache) };
  require('fs').writeFileSync(process.env.PROBE_RESULT, JSON.stringify(loaded));
});`;
const RECORD = { id: 'c1', bundle: '/b', rootfs: '/b/rootfs', phase: 'created', created: 'x', uid: 0 };
/** What runs the bundles. */
const LOADER = ['NativeModule vm'];

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'start-cost-'));
  writeFileSync(join(folder, 'probe.cjs'), PROBE);
  writeFileSync(join(folder, 'empty.cjs'), '');
  mkdirSync(join(folder, 'root/c1'), { recursive: true });
  writeFileSync(join(folder, 'root/c1/state.json'), JSON.stringify(RECORD));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a program to its end; gives the names of Node's modules and of files that it has loaded. */
function load(...command: readonly string[]): { builtins: readonly string[]; files: readonly string[] } {
  const result = join(folder, 'result.json');
  rmSync(result, { force: true });
  const env = { PROBE_RESULT: result };
  spawnSync(pinnedNode, ['--require', join(folder, 'probe.cjs'), ...command], { env, stdio: 'pipe' });
  const { builtins, files } = JSON.parse(readFileSync(result, 'utf8'));
  return { builtins, files: files.map((path: string) => basename(path)) };
}

test.each([
  [['--version'], []],
  [['state', 'c1'], ['tskata-state.js']],
  [['state', 'nosuch'], ['tskata-state.js']],
  [['delete', '--force', 'nosuch'], ['tskata-delete.js']],
  [['features'], ['tskata-features.js']],
])('%j loads nothing of Node that an empty program does not, and of ours its own file', (args, own) => {
  const bare = load(join(folder, 'empty.cjs'));

  const { builtins, files } = load(PROGRAM, '--root', join(folder, 'root'), ...args);

  expect(builtins.filter((name) => !bare.builtins.includes(name))).toEqual(LOADER);
  expect(files).toEqual(['probe.cjs', 'tskata.js', 'tskata-main.js', ...own]);
});

interface Told {
  readonly path: string;
  readonly cachedDataRejected: boolean;
  readonly begun: number;
}

/** What V8 says of the code of bundles, and how much it would keep of each before anything in it is called. */
const CODE = `
const { Script } = require('node:vm'), { readFileSync } = require('node:fs');
const told = process.argv.slice(1).map((path) => {
  const source = readFileSync(path.replace(/code$/, 'js'), 'latin1');
  const { cachedDataRejected } = new Script(source, { cachedData: readFileSync(path) });
  return { path, cachedDataRejected, begun: new Script(source + ';').createCachedData().length };
});
console.log(JSON.stringify(told));`;

test('the compiled code of each bundle is taken, and has all its functions', () => {
  const names = readdirSync(dirname(PROGRAM)).filter((name) => name.endsWith('.code'));
  expect(names).toEqual(expect.arrayContaining(['sandbox-main.code', 'tskata-main.code', 'tskata-create.code']));
  const paths = names.map((name) => join(dirname(PROGRAM), name));
  const told: Told[] = JSON.parse(spawnSync(pinnedNode, ['-e', CODE, ...paths], { encoding: 'utf8' }).stdout);
  expect(told.map(({ path }) => path)).toEqual(paths);
  for (const { path, cachedDataRejected, begun } of told) {
    expect([path, cachedDataRejected]).toEqual([path, false]);
    expect([path, statSync(path).size > begun]).toEqual([path, true]);
  }
});
