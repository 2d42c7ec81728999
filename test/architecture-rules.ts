// Who may import whom: the table "Layers" of ARCHITECTURE.md as data, and the check of a set of source files against it.
import { posix } from 'node:path';

/** A TypeScript file of the project. */
export interface SourceFile {
  /** Path from the project's root, with slashes. */
  readonly path: string;
  readonly text: string;
}

interface Import {
  readonly file: string;
  readonly line: number;
  /** As it is written: './queue.ts', 'node:fs', 'koffi'. */
  readonly specifier: string;
  /** Path from the project's root, for a file of the project. */
  readonly target: string | undefined;
  /** Neither erased (`import type`) nor on demand (`import()`): it decides the order in which modules are set up. */
  readonly isStatic: boolean;
}

/** From top to bottom. A folder may import its own row and the rows below; the longest matching name decides. */
const LAYERS: readonly (readonly string[])[] = [
  ['src/bin', 'src/index.ts'],
  ['src/cli'],
  ['src/install'],
  ['src/runtime'],
  ['src/api'],
  ['src/vmm'],
  ['src/agent-client', 'src/host'],
  ['src/hypervisor/kvm', 'src/hypervisor/testing'],
  ['src/ffi'],
  ['src/lib/node'],
  ['src/arch', 'src/devices', 'src/bus', 'src/memory', 'src/hypervisor', 'src/oci', 'src/protocol', 'src/netlink'],
  ['src/lib'],
];

/** Rows that get time, randomness and I/O as parameters: the lowest two. */
const PURE_ROWS: readonly number[] = [LAYERS.length - 2, LAYERS.length - 1];
/** The packages pure code may use: the runtime of the generated message codecs. */
const PURE_PACKAGES = /^@bufbuild\/protobuf(\/|$)/;
/** What the guest agent may use of the host's source. Its modules: the C one with the system calls, and those of QuickJS. */
const GUEST_AGENT_USES: readonly string[] = ['guest-agent', 'src/protocol', 'src/oci', 'src/netlink', 'src/lib'];
/** What the shim may use: of the agent what belongs to its engine, and not what it does in a guest. */
const SHIM_USES: readonly string[] = [
  'shim',
  'guest-agent/src/linux',
  'guest-agent/src/rpc',
  'guest-agent/src/bytes.ts',
  'guest-agent/src/event-loop.ts',
  'guest-agent/src/globals.ts',
  'guest-agent/src/log.ts',
  'src/protocol',
  'src/lib',
];
const ENGINE_MODULES: readonly string[] = ['tskata-sys', 'std', 'os'];
/** Folders that make something at build time: outside of themselves they use `scripts/lib` and each other's builds. */
const BUILD_FOLDERS: readonly string[] = ['images', 'kernel-config', 'native', 'guest-agent/native'];
/** Folders where files that handle raw addresses may be; their names end in `.unsafe.ts`. */
const UNSAFE_FOLDERS: readonly string[] = ['src/ffi', 'src/hypervisor/kvm'];

/** Snapshots are checked by hashes. */
const HASHES = 'src/vmm/snapshot-folder.ts';

/** Tests, and what they share, in folders named `testing`. */
const TEST_FILE = /\.test\.ts$|\/testing\//;
/** A generator of code lies beside what it generates, and is no part of the product. */
const BUILD_FILE = /\/generate[^/]*\.ts$|^(?:guest-agent\/native\/|(?:guest-agent|shim)\/build\.ts$)/;

/** Checks all files together. @returns one line per violation: file, line, import, rule */
export function violations(files: readonly SourceFile[]): string[] {
  const imports = files.flatMap(importsOf);
  return [
    ...files.flatMap(({ path }) => fileNameViolations(path)),
    ...imports.flatMap((entry) => rulesBroken(entry).map((rule) => describe(entry, rule))),
    ...folderCycles(imports),
    ...moduleCycles(imports),
  ];
}

function describe({ file, line, specifier }: Import, rule: string): string {
  return `${file}:${line}: imports '${specifier}': ${rule}`;
}

/** All forms: `import ... from`, `export ... from`, `import '...'`, `import('...')`, `require('...')`. */
const IMPORT =
  /^[ \t]*(?:import|export)\b(?<clause>[^;'"()]*?)\bfrom\s*['"](?<from>[^'"]+)['"]|^[ \t]*import\s*['"](?<bare>[^'"]+)['"]|\b(?:import|require)\(\s*['"](?<called>[^'"]+)['"]/gm;

function importsOf({ path, text }: SourceFile): Import[] {
  return [...text.matchAll(IMPORT)].map(({ groups = {}, index }) => {
    const specifier = groups['from'] ?? groups['bare'] ?? groups['called'] ?? '';
    const isErased = /^\s*type\b/.test(groups['clause'] ?? '');
    return {
      file: path,
      line: text.slice(0, index).split('\n').length,
      specifier,
      target: specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : undefined,
      isStatic: groups['called'] === undefined && !isErased,
    };
  });
}

function isIn(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

function isInSome(path: string, folders: readonly string[]): boolean {
  return folders.some((folder) => isIn(path, folder));
}

/** The entry of the layer table that a file belongs to, and its row: 0 is the top. */
export function layerOf(path: string): { readonly row: number; readonly folder: string } | undefined {
  return LAYERS.flatMap((folders, row) => folders.map((folder) => ({ row, folder })))
    .filter(({ folder }) => isIn(path, folder))
    .sort((a, b) => b.folder.length - a.folder.length)[0];
}

function fileNameViolations(path: string): string[] {
  const problems: string[] = [];
  if (path.endsWith('.unsafe.ts') && !isInSome(path, UNSAFE_FOLDERS)) {
    problems.push(`${path}: files named .unsafe.ts are in ${UNSAFE_FOLDERS.join(' or ')} only`);
  }
  if (isIn(path, 'src') && layerOf(path) === undefined) {
    problems.push(`${path}: its folder is not in the layer table (ARCHITECTURE.md, "Layers")`);
  }
  return problems;
}

function rulesBroken(entry: Import): string[] {
  const { file, specifier, target } = entry;
  const broken: string[] = [];
  if (target?.includes('/testing/') && !TEST_FILE.test(file)) broken.push('folders named testing are for tests');
  if (/^koffi(\/|$)/.test(specifier) && !isIn(file, 'src/ffi')) broken.push('only src/ffi names koffi');
  if (BUILD_FILE.test(file) || isInSome(file, BUILD_FOLDERS)) return [...broken, ...buildRules(entry)];
  if (isIn(file, 'src')) return [...broken, ...layerRules(entry), ...loadRules(entry)];
  if (isIn(file, 'guest-agent')) {
    return [
      ...broken,
      ...engineRules(entry, GUEST_AGENT_USES, 'the guest agent may use src/protocol, src/oci, src/netlink and src/lib'),
    ];
  }
  if (isIn(file, 'shim')) {
    return [
      ...broken,
      ...engineRules(entry, SHIM_USES, "the shim may use the agent's engine, src/protocol and src/lib"),
    ];
  }
  return broken;
}

function buildRules({ file, target }: Import): string[] {
  if (target === undefined || TEST_FILE.test(file)) return [];
  const isAllowed =
    isInSome(target, ['scripts/lib', ...BUILD_FOLDERS]) || posix.dirname(file) === posix.dirname(target);
  return isAllowed || BUILD_FILE.test(target)
    ? []
    : ["what runs at build time uses scripts/lib and the folder it is in, not the product's source"];
}

function layerRules({ file, specifier, target }: Import): string[] {
  const from = layerOf(file);
  if (from === undefined) return [];
  const isTest = TEST_FILE.test(file);
  if (target === undefined) {
    if (isTest || !PURE_ROWS.includes(from.row)) return [];
    if (specifier.startsWith('node:'))
      return [`${from.folder} is pure: time, randomness and I/O come in as parameters`];
    return PURE_PACKAGES.test(specifier)
      ? []
      : [`${from.folder} is pure: of packages it may use @bufbuild/protobuf only`];
  }
  const to = layerOf(target);
  // A test may use the project's build helpers, and the generator that it checks.
  if (to === undefined) return isTest ? [] : ["src imports nothing of the project's other folders"];
  return to.row < from.row ? [`${from.folder} may not import ${to.folder}, which is a row above it`] : [];
}

/** Of modules that take long to load, in processes that are started for each container. */
function loadRules({ file, specifier }: Import): string[] {
  return specifier === 'node:crypto' && file !== HASHES && !TEST_FILE.test(file)
    ? [`node:crypto takes longer to load than a VM to be built: src/host/random.ts has random bytes, ${HASHES} hashes`]
    : [];
}

function engineRules({ file, specifier, target }: Import, uses: readonly string[], rule: string): string[] {
  if (TEST_FILE.test(file)) return [];
  if (target === undefined) {
    return ENGINE_MODULES.includes(specifier)
      ? []
      : [`what runs on QuickJS has its modules: ${ENGINE_MODULES.join(', ')}`];
  }
  const isAllowed = isInSome(target, uses) && !isIn(target, 'src/lib/node');
  return isAllowed ? [] : [`${rule} (not src/lib/node), nothing else`];
}

/** Folders of one row that import each other, type imports included: they could not be read one after the other. */
function folderCycles(imports: readonly Import[]): string[] {
  const edges = imports.flatMap((entry) => {
    const from = layerOf(entry.file);
    const to = entry.target === undefined ? undefined : layerOf(entry.target);
    const isEdge =
      from !== undefined && from.row === to?.row && from.folder !== to.folder && !TEST_FILE.test(entry.file);
    return isEdge ? [{ from: from.folder, to: to.folder, entry }] : [];
  });
  return cycles(edges, (path, { entry }) => describe(entry, `folders import each other: ${path.join(' -> ')}`));
}

/** Modules that need each other before either is set up. */
function moduleCycles(imports: readonly Import[]): string[] {
  const edges = imports.flatMap((entry) =>
    entry.isStatic && entry.target !== undefined ? [{ from: entry.file, to: entry.target, entry }] : [],
  );
  return cycles(edges, (path, { entry }) => describe(entry, `modules import each other: ${path.join(' -> ')}`));
}

interface Edge {
  readonly from: string;
  readonly to: string;
  readonly entry: Import;
}

/** Finds cycles by depth-first search; each is reported once, at the edge that closes it. */
function cycles(edges: readonly Edge[], report: (path: string[], closing: Edge) => string): string[] {
  const outgoing = Map.groupBy(edges, (edge) => edge.from);
  const finished = new Set<string>();
  const found: string[] = [];
  const visit = (node: string, path: readonly string[]): void => {
    if (finished.has(node)) return;
    const here = [...path, node];
    for (const edge of outgoing.get(node) ?? []) {
      const start = here.indexOf(edge.to);
      if (start < 0) visit(edge.to, here);
      else found.push(report([...here.slice(start), edge.to], edge));
    }
    finished.add(node);
  };
  for (const node of outgoing.keys()) visit(node, []);
  return [...new Set(found)];
}
