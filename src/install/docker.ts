// Docker: `runtimes` of daemon.json (dockerd(8), "daemon configuration file"). Read again on SIGHUP.
import { messageOf } from '../lib/errors.ts';
import { type Engine, type Found, RUNTIME, type Wanted } from './engine.ts';
import { InstallError } from './install-error.ts';
import { withMember, withoutMember } from './json-text.ts';

type Table = Readonly<Record<string, unknown>>;

const ENTRY = ['runtimes', RUNTIME] as const;
const INDENTATION = 2;

export const docker: Engine = {
  file: '/etc/docker/daemon.json',
  install(found, { program }) {
    const table = parseObject(found);
    if (found.text === undefined || table === undefined) {
      return { text: `${JSON.stringify({ runtimes: { [RUNTIME]: { path: program } } }, null, INDENTATION)}\n` };
    }
    const entry = entryOf(table, found.path);
    if (entry?.['path'] === program) return { text: found.text };
    return {
      text:
        entry === undefined
          ? withMember(found.text, ENTRY, { path: program })
          : withMember(found.text, [...ENTRY, 'path'], program),
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
