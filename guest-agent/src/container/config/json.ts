// Reads untyped JSON field by field. What is not as the specification says is refused with the field's path.

import { messageOf } from '../../../../src/lib/errors.ts';
import { StatusError } from '../../../../src/protocol/status.ts';

/** A JSON object and where it stands. */
export class JsonObject {
  readonly path: string;
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(value: unknown, path: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(path, 'an object', value);
    this.#fields = value as Record<string, unknown>;
    this.path = path;
  }

  /** Whether the field is there at all, and not null. */
  isPresent(name: string): boolean {
    return this.#present(name) !== undefined;
  }

  /** Whether the field is there and says something: not null, not an empty list or object, not an empty string. */
  has(name: string): boolean {
    const value = this.#fields[name];
    if (value === undefined || value === null || value === '') return false;
    return typeof value !== 'object' || Object.keys(value).length > 0;
  }

  get names(): string[] {
    return Object.keys(this.#fields);
  }

  object(name: string): JsonObject | undefined {
    const value = this.#present(name);
    return value === undefined ? undefined : new JsonObject(value, this.pathOf(name));
  }

  objects(name: string): JsonObject[] {
    return this.#list(name).map((value, index) => new JsonObject(value, `${this.pathOf(name)}[${index}]`));
  }

  strings(name: string): string[] {
    return this.#list(name).map((value, index) => asString(value, `${this.pathOf(name)}[${index}]`));
  }

  numbers(name: string): number[] {
    return this.#list(name).map((value, index) => asNumber(value, `${this.pathOf(name)}[${index}]`));
  }

  string(name: string): string | undefined {
    const value = this.#present(name);
    return value === undefined ? undefined : asString(value, this.pathOf(name));
  }

  requiredString(name: string): string {
    return asString(this.#fields[name], this.pathOf(name));
  }

  /** An integer. */
  number(name: string): number | undefined {
    const value = this.#present(name);
    return value === undefined ? undefined : asNumber(value, this.pathOf(name));
  }

  /** An integer of this range. */
  numberWithin(name: string, least: number, greatest: number): number | undefined {
    const value = this.number(name);
    return value === undefined ? undefined : within(value, this.pathOf(name), least, greatest);
  }

  numbersWithin(name: string, least: number, greatest: number): number[] {
    return this.numbers(name).map((value, index) => within(value, `${this.pathOf(name)}[${index}]`, least, greatest));
  }

  requiredNumber(name: string): number {
    return asNumber(this.#fields[name], this.pathOf(name));
  }

  boolean(name: string): boolean {
    const value = this.#present(name) ?? false;
    if (typeof value !== 'boolean') throw invalid(this.pathOf(name), 'true or false', value);
    return value;
  }

  pathOf(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`;
  }

  #present(name: string): unknown {
    return this.#fields[name] ?? undefined;
  }

  #list(name: string): unknown[] {
    const value = this.#present(name) ?? [];
    if (!Array.isArray(value)) throw invalid(this.pathOf(name), 'a list', value);
    return value;
  }
}

/** What a table says of a name that came from outside: `constructor` and the like, which every object has, are not in it. */
export function lookUp<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** @param path where the object stands, for messages. @throws StatusError INVALID_ARGUMENT */
export function parseJsonObject(text: string, what: string, path = ''): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new StatusError('INVALID_ARGUMENT', `${what} is no JSON: ${messageOf(cause)}`, {}, { cause });
  }
  return new JsonObject(value, path);
}

function asString(value: unknown, path: string): string {
  if (typeof value !== 'string') throw invalid(path, 'a string', value);
  if (value.includes('\0')) throw invalid(path, 'a string without NUL characters', value);
  return value;
}

function asNumber(value: unknown, path: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value)) throw invalid(path, 'an integer', value);
  return value;
}

function within(value: number, path: string, least: number, greatest: number): number {
  if (value < least || value > greatest) throw invalid(path, `from ${least} to ${greatest}`, value);
  return value;
}

function invalid(path: string, wanted: string, value: unknown): StatusError {
  const shown = value === undefined ? 'missing' : JSON.stringify(value).slice(0, 80);
  return new StatusError('INVALID_ARGUMENT', `config.json: ${path} must be ${wanted}, and is ${shown}`, { path });
}
