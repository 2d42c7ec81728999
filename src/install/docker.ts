// Docker: `runtimes` of daemon.json (dockerd(8), "daemon configuration file"). Read again on SIGHUP. A runtime is a program, with
// `path`, or a shim, with `runtimeType`, and dockerd does not start when an entry is both (setupRuntimes of daemon/runtime_unix.go).
import { messageOf } from '../lib/errors.ts';
import { type Engine, type Found, RUNTIME, type Setup, type Wanted } from './engine.ts';
import { parseEngineVersion } from './engine-version.ts';
import { InstallError } from './install-error.ts';
import { withMember, withoutMember } from './json-text.ts';
import { shimWarnings, usableShim } from './shim.ts';

type Table = Readonly<Record<string, unknown>>;

const ENTRY = ['runtimes', RUNTIME] as const;
const INDENTATION = 2;

type Form = 'path' | 'runtimeType';

/** What dockerd does not take with the one or the other. */
const EXCLUDED: Readonly<Record<Form, readonly string[]>> = {
  path: ['runtimeType', 'options'],
  runtimeType: ['path', 'runtimeArgs'],
};

/** Docker 23 takes a shim by name only, if it is in containerd's PATH; 20.10 takes none. */
const SHIMS_SINCE = 24;

export const docker: Engine = {
  file: '/etc/docker/daemon.json',
  takesShim: true,
  install(found, setup) {
    const table = parseObject(found);
    const entry = table && entryOf(table, found.path);
    const shim = usableShim(setup.shim, refusalOf(setup));
    const form = shim.path === undefined ? 'path' : 'runtimeType';
    const value = shim.path ?? setup.program;
    const lost = Object.keys(entry ?? {}).filter((key) => EXCLUDED[form].includes(key));
    const isOther = lost.length > 0;
    const kept = isOther ? undefined : entry;
    const rest = isOther ? withoutMember(found.text ?? '', ENTRY) : found.text;
    return {
      text: table === undefined || rest === undefined ? newText(form, value) : withEntry(rest, kept, form, value),
      warnings: [...shimWarnings(shim), ...lossWarnings(found.path, form, lost)],
    };
  },
  uninstall(found): Wanted {
    const table = parseObject(found);
    if (found.text === undefined || table === undefined) return { text: found.text };
    if (entryOf(table, found.path) === undefined) return { text: found.text };
    if (table['default-runtime'] === RUNTIME) {
      const message = `${found.path}: default-runtime is ${RUNTIME}, and dockerd does not start without it: take that line out first`;
      throw new InstallError('IN_USE', message, { path: found.path });
    }
    return { text: withoutMember(found.text, ENTRY) };
  },
  next: {
    install:
      'let dockerd read it: systemctl reload docker (or SIGHUP to dockerd); then: docker run --runtime tskata IMAGE',
    uninstall: 'let dockerd read it: systemctl reload docker (or SIGHUP to dockerd)',
  },
};

/** Why this dockerd cannot be told a shim. */
function refusalOf({ engineVersion }: Setup): string | undefined {
  const version = parseEngineVersion(engineVersion('dockerd'));
  if (version === undefined) return `dockerd takes a shim since ${SHIMS_SINCE}.0, and its version is not known here`;
  return version.major >= SHIMS_SINCE ? undefined : `dockerd ${version.text} takes no shim, ${SHIMS_SINCE}.0 does`;
}

function newText(form: Form, value: string): string {
  return `${JSON.stringify({ runtimes: { [RUNTIME]: { [form]: value } } }, null, INDENTATION)}\n`;
}

function withEntry(text: string, entry: Table | undefined, form: Form, value: string): string {
  if (entry === undefined) return withMember(text, ENTRY, { [form]: value });
  return entry[form] === value ? text : withMember(text, [...ENTRY, form], value);
}

/** What somebody has added to an entry that is replaced. */
function lossWarnings(path: string, form: Form, lost: readonly string[]): string[] {
  const advice = form === 'runtimeType' ? '; with "tskata install --no-shim docker" they can be added again' : '';
  return lost
    .filter((key) => !Object.hasOwn(EXCLUDED, key))
    .map((key) => `${path}: ${key} of ${RUNTIME} are gone, which dockerd does not take with ${form}${advice}`);
}

/** @returns undefined where there is nothing, which dockerd takes for a file that sets nothing */
function parseObject({ path, text }: Found): Table | undefined {
  if (text === undefined || text.trim() === '') return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const message = `${path} is not JSON: ${messageOf(cause)}; correct it first`;
    throw new InstallError('CANNOT_READ', message, { path }, { cause });
  }
  return asObject(value, path);
}

function entryOf(table: Table, path: string): Table | undefined {
  const runtimes = table['runtimes'];
  if (runtimes === undefined) return undefined;
  const entry = asObject(runtimes, `${path}: runtimes`)[RUNTIME];
  return entry === undefined ? undefined : asObject(entry, `${path}: runtimes.${RUNTIME}`);
}

function asObject(value: unknown, place: string): Table {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Table;
  throw new InstallError('CANNOT_READ', `${place} is not an object: correct it first`, { path: place });
}
