// Small checkers of JSON values, made into bigger ones. A value that does not fit is named by its path.
import { TskataError } from '../lib/errors.ts';

/** A value of config.json is not what the specification allows. */
export class ConfigError extends TskataError<'INVALID_CONFIG'> {
  /** @param where it was found, if not in config.json */
  constructor(path: string, found: unknown, allowed: string, where = 'in config.json') {
    super('INVALID_CONFIG', `${path} ${where} is ${show(found)}; allowed is ${allowed}`, { path, allowed });
  }
}

const SHOWN_LENGTH = 60;

function show(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? String(part) : part));
  return text.length <= SHOWN_LENGTH ? text : `${text.slice(0, SHOWN_LENGTH)}...`;
}

/** Throws ConfigError when the value at the path does not fit. */
export type Check = (value: unknown, path: string) => void;

/** A value for which `fits` holds. `allowed` says in words which those are. */
export function value(fits: (value: unknown) => boolean, allowed: string): Check {
  return (found, path) => {
    if (!fits(found)) throw new ConfigError(path, found, allowed);
  };
}

// A NUL would end the string early wherever it meets the kernel.
export const string = value((found) => typeof found === 'string' && !found.includes('\0'), 'a string without NUL');
export const boolean = value((found) => typeof found === 'boolean', 'true or false');
export const absolutePath = value(
  (found) => typeof found === 'string' && found.startsWith('/') && !found.includes('\0'),
  'an absolute path',
);
export const nonEmptyString = value(
  (found) => typeof found === 'string' && found !== '' && !found.includes('\0'),
  'a string that is not empty and has no NUL',
);

export function integer(minimum: number, maximum: number): Check {
  return value(
    (found) => Number.isInteger(found) && Number(found) >= minimum && Number(found) <= maximum,
    `a whole number from ${minimum} to ${maximum}`,
  );
}

export function oneOf(names: readonly string[]): Check {
  return value((found) => typeof found === 'string' && names.includes(found), `one of ${names.join(', ')}`);
}

/** An array of at least `minimum` such values. Go writes an empty list as null; that counts as one. */
export function listOf(check: Check, minimum = 0): Check {
  return (found, path) => {
    const list = found === null ? [] : found;
    if (!Array.isArray(list)) throw new ConfigError(path, found, 'a list');
    if (list.length < minimum) throw new ConfigError(path, found, `a list of at least ${minimum}`);
    for (const [index, item] of list.entries()) check(item, `${path}[${index}]`);
  };
}

export function mapOf(check: Check): Check {
  return (found, path) => {
    for (const [key, item] of entries(found, path)) check(item, `${path}.${key}`);
  };
}

/** An object with these properties; others are let through, as the specification asks (config.md, "Extensibility"). */
export function object(
  required: Readonly<Record<string, Check>>,
  optional: Readonly<Record<string, Check>> = {},
): Check {
  return (found, path) => {
    const properties = new Map(entries(found, path));
    const at = (key: string): string => (path === '' ? key : `${path}.${key}`);
    for (const [key, check] of Object.entries(required)) check(properties.get(key), at(key));
    for (const [key, check] of Object.entries(optional)) {
      const property = properties.get(key);
      if (property !== undefined && property !== null) check(property, at(key));
    }
  };
}

function entries(found: unknown, path: string): [string, unknown][] {
  if (typeof found !== 'object' || found === null || Array.isArray(found)) {
    throw new ConfigError(path === '' ? 'the whole' : path, found, 'an object');
  }
  return Object.entries(found);
}
