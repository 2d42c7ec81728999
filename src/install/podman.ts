// Podman: a drop-in of containers.conf(5), read by each call.
import type { Table } from '../runtime/configuration-file.ts';
import { type Engine, type Found, RUNTIME, type Setup } from './engine.ts';
import { withoutBlock } from './marked-block.ts';
import { checkNobodysElse, othersTable, tableAt, toml, withLines } from './toml-engine.ts';

const FOLDER = '/etc/containers/containers.conf.d';
const FILE = `${FOLDER}/${RUNTIME}.conf`;
/** In the order in which they are read. */
const MAIN_FILES = ['/usr/share/containers/containers.conf', '/etc/containers/containers.conf'];

/**
 * Capabilities that podman looks up by a runtime's name, with the names that it knows itself (common/pkg/config/default.go): a list
 * in a file takes their place. Not `runtime_supports_nocgroups`: that is crun's --cgroup-manager=disabled.
 */
const LISTS = {
  runtime_supports_json: ['crun', 'runc', 'kata', 'runsc', 'youki', 'krun', 'ocijail'],
  runtime_supports_kvm: ['kata', 'kata-runtime', 'kata-qemu', 'kata-fc', 'krun'],
} as const;

export const podman: Engine = {
  file: FILE,
  install(found, setup) {
    checkNobodysElse(tableAt(othersTable(found), 'engine', 'runtimes'), found.path);
    const tables = otherTables(found, setup);
    const lists = Object.entries(LISTS).map(([key, known]) => `${key} = ${toml(listInForce(tables, key, known))}`);
    const lines = ['[engine]', ...lists, '', '[engine.runtimes]', `${RUNTIME} = ${toml([setup.program])}`];
    return { text: withLines(found, lines.join('\n')) };
  },
  uninstall(found) {
    othersTable(found);
    return { text: found.text === undefined ? undefined : withoutBlock(found.text) };
  },
  next: {
    install: 'podman reads it at its next call: podman --runtime tskata run IMAGE',
    uninstall: 'podman reads it at its next call',
  },
};

/** What the other files say. */
function otherTables(found: Found, { read, list }: Setup): Table[] {
  const paths = [...MAIN_FILES, ...list(`${FOLDER}/*.conf`).filter((path) => path !== FILE && path !== found.path)];
  return paths.map((path) => othersTable({ path, text: read(path) }));
}

/** A list replaces the one before, unless one of its elements is `{append=true}` (containers.conf(5), "APPENDING TO STRING ARRAYS"). */
function listInForce(tables: readonly Table[], key: string, known: readonly string[]): string[] {
  let names = known;
  for (const table of tables) {
    const list = tableAt(table, 'engine')?.[key];
    if (!Array.isArray(list)) continue;
    const given = list.filter((one): one is string => typeof one === 'string');
    const isAdded = list.some(
      (one) => typeof one === 'object' && one !== null && 'append' in one && one.append === true,
    );
    names = isAdded ? [...names, ...given] : given;
  }
  return [...new Set([...names, RUNTIME])];
}
