// Loads the bundles that bundles.ts makes, instead of Node's own loader. It stands at the head of each program, after
// `const folder`, which is where the bundles are.
const { readFileSync } = require('node:fs');
const { pathToFileURL } = require('node:url');
const { Script } = require('node:vm');

/** Modules of Node that take long to load: each is loaded when something of it is used. */
const SLOW = new Set([
  'child_process',
  'crypto',
  'fs/promises',
  'net',
  'readline',
  'stream/consumers',
  'stream/promises',
  'timers/promises',
  'zlib',
]);

function later(name) {
  const standIn = new Proxy(
    {},
    {
      get: (_target, key) => require(name)[key],
      has: (_target, key) => key in require(name),
      // esbuild makes an ES module of it: a copy of its own keys, whose prototype answers for all others.
      ownKeys: () => [],
      getPrototypeOf: () => standIn,
    },
  );
  return standIn;
}

/** The `require` of a bundle. */
function requireInBundle(name) {
  if (name.startsWith('./')) return load(name.slice(2));
  return SLOW.has(name.replace(/^node:/, '')) ? later(name) : require(name);
}

/** With the code that the build has compiled: else each start would compile again each function that it calls. */
function load(name) {
  const path = `${folder}/${name}.js`;
  const loaded = require.cache[path];
  if (loaded !== undefined) return loaded.exports;
  const bundle = new Script(readFileSync(path, 'latin1'), {
    filename: path,
    cachedData: readFileSync(`${folder}/${name}.code`),
  });
  const module = { exports: {} };
  require.cache[path] = module;
  bundle.runInThisContext()(module.exports, requireInBundle, module, path, folder, pathToFileURL(path).href);
  return module.exports;
}
