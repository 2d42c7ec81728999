// What devices say about themselves for a snapshot is plain JSON. It comes back from a file that anybody may
// have written, so each field is judged.
import { shownValue, TskataError } from '../lib/errors.ts';

/** A saved state makes no sense for the device that is to take it. */
export class SavedStateError extends TskataError<'BAD_STATE'> {
  constructor(device: string, field: string, found: unknown, allowed: string) {
    const message = `saved state of ${device}: ${field} is ${shownValue(found)}; allowed is ${allowed}`;
    super('BAD_STATE', message, { device, field });
  }
}

/** Reads the fields of one device's saved state. Every method throws SavedStateError. */
export class SavedFields {
  readonly #device: string;
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(device: string, state: unknown) {
    if (typeof state !== 'object' || state === null || Array.isArray(state)) {
      throw new SavedStateError(device, 'it', state, 'an object');
    }
    this.#device = device;
    this.#fields = state as Readonly<Record<string, unknown>>;
  }

  /** All of them, for somebody else to judge. */
  get all(): Readonly<Record<string, unknown>> {
    return this.#fields;
  }

  /** What stands there, for somebody else to judge. */
  value(name: string): unknown {
    return this.#fields[name];
  }

  /** A whole number from 0 to `maximum`. */
  integer(name: string, maximum: number): number {
    const value = this.#fields[name];
    if (isInteger(value, maximum)) return value;
    throw new SavedStateError(this.#device, name, value, `a whole number up to ${maximum}`);
  }

  boolean(name: string): boolean {
    const value = this.#fields[name];
    if (typeof value === 'boolean') return value;
    throw new SavedStateError(this.#device, name, value, 'true or false');
  }

  string(name: string): string {
    const value = this.#fields[name];
    if (typeof value === 'string') return value;
    throw new SavedStateError(this.#device, name, value, 'a string');
  }

  /** A list of what `read` makes of the fields of each of its objects. */
  list<T>(name: string, read: (fields: SavedFields) => T): T[] {
    const value = this.#fields[name];
    if (!Array.isArray(value)) throw new SavedStateError(this.#device, name, value, 'a list');
    return value.map((one, index) => read(new SavedFields(`${this.#device}, ${name}[${index}]`, one)));
  }

  /** A list of at most `lengthMax` bytes. */
  bytes(name: string, lengthMax: number): number[] {
    const value = this.#fields[name];
    if (Array.isArray(value) && value.length <= lengthMax && value.every((byte) => isInteger(byte, 0xff))) return value;
    throw new SavedStateError(this.#device, name, value, `a list of up to ${lengthMax} bytes`);
  }

  /** What `read` makes of a field, or undefined where null was saved. */
  optional<T>(name: string, read: (fields: SavedFields, name: string) => T): T | undefined {
    return this.#fields[name] === null ? undefined : read(this, name);
  }

  /** The fields of an object within. */
  object(name: string): SavedFields {
    return new SavedFields(`${this.#device}, ${name}`, this.#fields[name]);
  }
}

function isInteger(value: unknown, maximum: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= maximum;
}
