// What engines with configuration in TOML share: lines of ours between marks, checked with what stands around them.
import { parse } from 'smol-toml';
import { messageOf } from '../lib/errors.ts';
import { parseTable, type Table } from '../runtime/configuration-file.ts';
import { type Found, RUNTIME } from './engine.ts';
import { InstallError } from './install-error.ts';
import { hasBrokenBlock, withBlock, withoutBlock } from './marked-block.ts';

/** What the file says without our lines. @throws RuntimeError naming file and line where it is not TOML */
export function othersTable({ path, text = '' }: Found): Table {
  if (hasBrokenBlock(text)) {
    const message = `${path}: the lines of "tskata install" have a begin and no end: remove them by hand`;
    throw new InstallError('CANNOT_READ', message, { path });
  }
  return parseTable(withoutBlock(text, []) ?? '', path);
}

/** The table that keys lead to; undefined where there is none. */
export function tableAt(table: Table, ...keys: readonly string[]): Table | undefined {
  return keys.reduce<Table | undefined>((now, key) => {
    const next = now?.[key];
    return typeof next === 'object' && next !== null && !Array.isArray(next) ? (next as Table) : undefined;
  }, table);
}

/** @throws InstallError NOT_OURS when somebody else has given the runtime's name to one already */
export function checkNobodysElse(runtimes: Table | undefined, path: string): void {
  if (runtimes?.[RUNTIME] === undefined) return;
  const message = `${path} has a runtime ${RUNTIME} already that "tskata install" has not written: take it out first`;
  throw new InstallError('NOT_OURS', message, { path });
}

/** @throws InstallError NOT_OURS when the file has tables already that the lines would define again */
export function withLines({ path, text }: Found, lines: string, head = ''): string {
  const result = withBlock(text, lines, head);
  try {
    parse(result);
  } catch (cause) {
    const reason = messageOf(cause).split('\n')[0];
    const message = `${path} cannot be added to (${reason}): name another file with --config, or write these lines into it by hand:\n${lines}`;
    throw new InstallError('NOT_OURS', message, { path }, { cause });
  }
  return result;
}

/** JSON's texts and lists of them are TOML's too. */
export function toml(value: string | boolean | readonly string[]): string {
  return JSON.stringify(value);
}
