// State as JSON: bytes and 64-bit numbers, which JSON has not, as tagged texts.

/** What a state may consist of. Interfaces of such values fit too, as far as they have no methods. */
export type StateValue =
  | string
  | number
  | boolean
  | bigint
  | null
  | undefined
  | Uint8Array
  | readonly StateValue[]
  | { readonly [key: string]: StateValue };

const BYTES = '$bytes';
const BIGINT = '$bigint';
/** As long as 64 bits get. */
const BIGINT_DIGITS = /^-?\d{1,20}$/;

/** Plain JSON of a state. @throws TypeError for what is no state, a function for instance */
export function encodeState(value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (value instanceof Uint8Array) return { [BYTES]: Buffer.from(value).toString('base64') };
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
      return value;
    case 'bigint':
      return { [BIGINT]: String(value) };
    case 'object':
      if (Array.isArray(value)) return value.map(encodeState);
      return Object.fromEntries(
        Object.entries(value)
          .filter(([, one]) => one !== undefined)
          .map(([key, one]) => [key, encodeState(one)]),
      );
    default:
      throw new TypeError(`a ${typeof value} is no state`);
  }
}

/** What `encodeState` was given. A tag with something else in it is an object like any other. */
export function decodeState(value: unknown): StateValue {
  if (Array.isArray(value)) return value.map(decodeState);
  if (typeof value !== 'object' || value === null) return value as StateValue;
  const entries = Object.entries(value);
  const [key, one] = entries[0] ?? [];
  if (entries.length === 1 && typeof one === 'string') {
    if (key === BYTES) return new Uint8Array(Buffer.from(one, 'base64'));
    if (key === BIGINT && BIGINT_DIGITS.test(one)) return BigInt(one);
  }
  return Object.fromEntries(entries.map(([name, entry]) => [name, decodeState(entry)]));
}
