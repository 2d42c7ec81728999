// The head of each bundle that programs.ts makes: what ES modules have in `import.meta`, and a `require` that loads those of
// Node's modules that take long only when something of them is used.
const __url = require('node:url').pathToFileURL(__filename).href;
// biome-ignore lint/suspicious/noGlobalAssign: it is a parameter of the function that Node wraps around the bundle
require = ((load) => {
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
  const later = (name) => {
    const standIn = new Proxy(
      {},
      {
        get: (_target, key) => load(name)[key],
        has: (_target, key) => key in load(name),
        // esbuild makes an ES module of it: a copy of its own keys, whose prototype answers for all others.
        ownKeys: () => [],
        getPrototypeOf: () => standIn,
      },
    );
    return standIn;
  };
  return (name) => (SLOW.has(name.replace(/^node:/, '')) ? later(name) : load(name));
})(require);
