// containerd: a runtime handler of the CRI plug-in in its main file. Not in a file of its own below `imports`: containerd 1.6 and 1.7
// replace all that the main file says of a plug-in by what an imported one says (mergeConfig of services/server/config).
import { dirname, resolve } from 'node:path';
import { ANNOTATION_KEY_NAMES } from '../runtime/configuration.ts';
import type { Table } from '../runtime/configuration-file.ts';
import { type Engine, type Found, RUNTIME, type Setup } from './engine.ts';
import { type EngineVersion, parseEngineVersion } from './engine-version.ts';
import { InstallError } from './install-error.ts';
import { withoutBlock } from './marked-block.ts';
import { shimWarnings, usableShim } from './shim.ts';
import { checkNobodysElse, othersTable, tableAt, toml, withLines } from './toml-engine.ts';

const FILE = '/etc/containerd/config.toml';

/** Where the CRI plug-in's runtimes are, by the file's version (containerd, RELEASES.md, "Daemon Configuration"). */
const CRI_PLUGINS = [
  { from: 3, name: 'io.containerd.cri.v1.runtime' },
  { from: 2, name: 'io.containerd.grpc.v1.cri' },
  { from: 0, name: 'cri' },
] as const;
const DEFAULT_RUNTIME = 'runc';
const RUNC_SHIM = 'io.containerd.runc.v2';
/** Of 1.x (containerd, "Allow absolute path to shim binaries"). */
const SHIM_PATHS_SINCE_MINOR = 6;

const NEW_FILES = { 2: 'version = 2\n', 3: "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n" } as const;

/**
 * Patterns (Go's path.Match) of the pod's annotations that reach us: all keys of the configuration, and not `io.tskata.sandbox-id`,
 * by which whoever writes a pod could ask for a place in another one's VM.
 */
export const POD_ANNOTATIONS: readonly string[] = [
  'io.tskata.*_*',
  ...ANNOTATION_KEY_NAMES.filter((name) => !name.includes('_')).map((name) => `io.tskata.${name}`),
  'io.katacontainers.config.*',
];

export const containerd: Engine = {
  file: FILE,
  takesShim: true,
  install(found, setup) {
    const table = othersTable(found);
    const installed = parseEngineVersion(setup.engineVersion('containerd'));
    const version = found.text === undefined ? newVersion(installed) : versionOf(table);
    const plugin = criPlugin(version);
    const cri = tableAt(table, 'plugins', plugin, 'containerd');
    checkNobodysElse(tableAt(cri ?? {}, 'runtimes'), found.path);
    const shim = usableShim(setup.shim, refusalOf(installed));
    const type = shim.path ?? RUNC_SHIM;
    const options = shim.path === undefined ? runcOptions(setup.program, usesSystemd(cri)) : undefined;
    return {
      text: withLines(found, handler(plugin, type, options), version === 3 ? NEW_FILES[3] : NEW_FILES[2]),
      warnings: [
        ...shimWarnings(shim),
        ...disabledWarnings(table, found.path),
        ...importWarnings(table, found.path, setup),
      ],
    };
  },
  uninstall(found) {
    if (found.text === undefined) return { text: undefined };
    const table = othersTable(found);
    const cri = tableAt(table, 'plugins', criPlugin(versionOf(table)), 'containerd');
    const text = withoutBlock(found.text, Object.values(NEW_FILES));
    if (text !== found.text && cri?.['default_runtime_name'] === RUNTIME) {
      const message = `${found.path}: default_runtime_name is ${RUNTIME}: take that line out first`;
      throw new InstallError('IN_USE', message, { path: found.path });
    }
    return { text };
  },
  next: {
    install:
      'let containerd read it: systemctl restart containerd; then, for Kubernetes: tskata install kubernetes | kubectl apply -f -',
    uninstall: 'let containerd read it: systemctl restart containerd',
  },
};

/**
 * @param type a shim by its path, where others have a name and `runtime_path`: before 1.7.1 pods are not started by that path, and
 * later ones that are started again forget it for all containers of a pod but the first. It has no options: those of a type that
 * containerd does not know reach a shim in another form than runc's.
 */
function handler(plugin: string, type: string, options: readonly string[] | undefined): string {
  const table = `plugins.${toml(plugin)}.containerd.runtimes.${RUNTIME}`;
  return [
    `[${table}]`,
    `runtime_type = ${toml(type)}`,
    '# A privileged container has the devices of its own machine, not those of the host.',
    'privileged_without_host_devices = true',
    `pod_annotations = ${toml(POD_ANNOTATIONS)}`,
    ...(options === undefined ? [] : ['', `[${table}.options]`, ...options]),
  ].join('\n');
}

/** containerd.runc.v1.Options */
function runcOptions(program: string, isSystemd: boolean): string[] {
  return [
    `BinaryName = ${toml(program)}`,
    `Root = ${toml(`/run/containerd/${RUNTIME}`)}`,
    ...(isSystemd ? ['SystemdCgroup = true'] : []),
  ];
}

/** Where the version is not known it is taken to be late enough: kubelet since 1.26 takes no earlier one. */
function refusalOf(version: EngineVersion | undefined): string | undefined {
  if (version === undefined || version.major > 1 || version.minor >= SHIM_PATHS_SINCE_MINOR) return undefined;
  return `containerd ${version.text} takes no shim by its path, 1.${SHIM_PATHS_SINCE_MINOR} does`;
}

/** Pods have cgroups of one kind, which kubelet chooses: what holds for the default runtime holds for ours. */
function usesSystemd(cri: Table = {}): boolean {
  const name = cri['default_runtime_name'];
  const runtime = typeof name === 'string' && name !== RUNTIME ? name : DEFAULT_RUNTIME;
  return tableAt(cri, 'runtimes', runtime, 'options')?.['SystemdCgroup'] === true;
}

function versionOf({ version }: Table): number {
  return typeof version === 'number' ? version : 1;
}

function criPlugin(version: number): string {
  return CRI_PLUGINS.find(({ from }) => version >= from)?.name ?? CRI_PLUGINS[0].name;
}

/** 2 is read by all; but a file of version 3 cannot be imported by one of version 2. */
function newVersion(installed: EngineVersion | undefined): 2 | 3 {
  return (installed?.major ?? 1) >= 2 ? 3 : 2;
}

function disabledWarnings({ disabled_plugins: disabled }: Table, path: string): string[] {
  const names: readonly string[] = CRI_PLUGINS.map(({ name }) => name);
  const found = Array.isArray(disabled) ? disabled.filter((name) => names.includes(String(name))) : [];
  return found.map(
    (name) =>
      `${path}: disabled_plugins has ${toml(String(name))}: Kubernetes and crictl will find no runtime of this containerd`,
  );
}

/** Version 3 is read by containerd 2.0 and later, which merge what they import. */
function importWarnings(table: Table, path: string, { read, list }: Setup): string[] {
  if (versionOf(table) >= 3) return [];
  const plugin = criPlugin(versionOf(table));
  const imports = Array.isArray(table['imports']) ? table['imports'].map(String) : [];
  const files = imports.flatMap((entry) => list(resolve(dirname(path), entry)));
  return files
    .filter((file) => tableAt(othersTable({ path: file, text: read(file) } satisfies Found), 'plugins', plugin))
    .map(
      (file) =>
        `${file} has settings of the plug-in ${plugin}: containerd before 2.0 takes them in the place of all in ${path}; there, install with --config ${file}`,
    );
}
