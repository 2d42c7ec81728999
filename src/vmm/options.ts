// The settings of one device as a user gives them: `FIRST,key=value,flag` on a command line, a table in a configuration file.
// Both have the same keys, and are read by the same list of fields.
import { GIB, KIB, MIB } from '../lib/units.ts';
import { VmConfigError } from './config-error.ts';

/** What a field holds: a list of words means one of them; a size is in bytes, with K, M, G or T behind it for more. */
export type FieldKind = 'text' | 'flag' | 'integer' | 'size' | 'seconds' | readonly string[];

export type Fields = Readonly<Record<string, FieldKind>>;

type FieldValue<Kind extends FieldKind> = Kind extends 'flag'
  ? boolean
  : Kind extends 'text'
    ? string
    : Kind extends readonly (infer Word)[]
      ? Word
      : number;

/** What was given, by key; a key that was not given is absent. */
export type FieldValues<F extends Fields> = { readonly [Key in keyof F]?: FieldValue<F[Key]> };

export type OptionTable = Readonly<Record<string, string | number | boolean>>;

/** A device's settings before they are read. */
export type OptionSource = string | OptionTable;

export interface OptionForm<F extends Fields> {
  /** For messages: "disk". */
  readonly subject: string;
  readonly fields: F;
  /** What the first item of a text means when it is no `key=value` of the fields. */
  readonly first?: (item: string) => OptionTable;
}

/** A `first` for devices that need no settings: nothing is nothing, and a value without a key is this key's. */
export function optionalFirst(key: string): (item: string) => OptionTable {
  return (item) => {
    const at = item.indexOf('=');
    if (at >= 0) return { [item.slice(0, at)]: item.slice(at + 1) };
    return item === '' ? {} : { [key]: item };
  };
}

const FLAG_WORDS: Readonly<Record<string, boolean>> = { on: true, true: true, off: false, false: false };
const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, K: KIB, M: MIB, G: GIB, T: 1024 * GIB };

/** Reads a size such as `128M`, `2G` or a plain count of bytes; undefined when it is none. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+)([KMGT]?)(?:iB|B)?$/i.exec(text);
  const size = Number(match?.[1]) * (SIZE_UNITS[(match?.[2] ?? '').toUpperCase()] ?? Number.NaN);
  return Number.isSafeInteger(size) ? size : undefined;
}

/** Splits at commas; a comma that is doubled is one of the item. */
function splitItems(text: string): string[] {
  return text.split(/(?<!,),(?!,)/).map((item) => item.replaceAll(',,', ','));
}

function toTable<F extends Fields>(text: string, { subject, fields, first }: OptionForm<F>): OptionTable {
  const table: Record<string, string | number | boolean> = Object.create(null);
  const add = (key: string, value: string | number | boolean): void => {
    if (Object.hasOwn(table, key)) throw new VmConfigError(`${subject} ${key}`, 'given twice', 'one value');
    table[key] = value;
  };
  for (const [index, item] of splitItems(text).entries()) {
    const at = item.indexOf('=');
    const key = at < 0 ? item : item.slice(0, at);
    const isField = Object.hasOwn(fields, key) && (at >= 0 || fields[key] === 'flag');
    if (index === 0 && first !== undefined && !isField) Object.assign(table, first(item));
    else if (at >= 0) add(key, item.slice(at + 1));
    else add(key, true);
  }
  return table;
}

function readValue(key: string, kind: FieldKind, value: string | number | boolean): string | number | boolean {
  const refuse = (allowed: string): never => {
    throw new VmConfigError(key, value === true ? 'given without a value' : JSON.stringify(value), allowed);
  };
  if (typeof kind === 'object') return kind.includes(String(value)) ? String(value) : refuse(kind.join(' or '));
  switch (kind) {
    case 'text':
      return typeof value === 'boolean' || value === '' ? refuse('a text') : String(value);
    case 'flag':
      return typeof value === 'boolean' ? value : (FLAG_WORDS[value] ?? refuse('on or off'));
    case 'integer':
      return /^\d+$/.test(String(value)) ? Number(value) : refuse('a whole number');
    case 'size':
      return parseSize(String(value)) ?? refuse('a size such as 512K or 2G');
    case 'seconds':
      return /^\d+(\.\d+)?s?$/.test(String(value)) ? Number.parseFloat(String(value)) : refuse('a time in seconds');
  }
}

/**
 * Reads the settings of one device.
 * @throws VmConfigError for a key that there is not, a value of another kind, and a key that is given twice
 */
export function readOptions<F extends Fields>(source: OptionSource, form: OptionForm<F>): FieldValues<F> {
  const table = typeof source === 'string' ? toTable(source, form) : source;
  const { subject, fields } = form;
  const entries = Object.entries(table).map(([key, value]) => {
    const kind = Object.hasOwn(fields, key) ? fields[key] : undefined;
    if (kind === undefined) {
      throw new VmConfigError(`${subject} option`, JSON.stringify(key), Object.keys(fields).join(', '));
    }
    return [key, readValue(`${subject} ${key}`, kind, value)] as const;
  });
  return Object.fromEntries(entries) as FieldValues<F>;
}
