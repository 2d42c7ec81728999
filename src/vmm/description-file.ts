// A configuration file whose keys are the names of `tsvm boot`'s flags. Apart from the descriptions themselves, so that who
// has no such file does not load a parser of TOML.
import { readFileSync } from 'node:fs';
import { parse as parseToml } from 'smol-toml';
import { messageOf } from '../lib/errors.ts';
import { VmConfigError } from './config-error.ts';
import type { VmDescription } from './description.ts';
import type { OptionSource } from './options.ts';

type Shape = 'text' | 'amount' | 'flag' | 'device' | 'devices' | 'optional-device';

/** Every key of a description. */
const SHAPES: { readonly [Key in keyof Required<VmDescription>]: Shape } = {
  kernel: 'text',
  initrd: 'text',
  cmdline: 'text',
  memory: 'amount',
  hugepages: 'text',
  prefault: 'flag',
  cpus: 'amount',
  serial: 'flag',
  entropy: 'flag',
  disk: 'devices',
  net: 'devices',
  share: 'devices',
  vsock: 'device',
  console: 'optional-device',
  balloon: 'optional-device',
};

const isOptionValue = (value: unknown): boolean => ['string', 'number', 'boolean'].includes(typeof value);

function isOptionSource(value: unknown): value is OptionSource {
  if (typeof value === 'string') return true;
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every(isOptionValue)
  );
}

const MATCHES: Readonly<Record<Shape, { readonly allowed: string; matches(value: unknown): boolean }>> = {
  text: { allowed: 'a text', matches: (value) => typeof value === 'string' },
  amount: {
    allowed: "a number, a flag's text or a table",
    matches: (value) => typeof value === 'number' || isOptionSource(value),
  },
  flag: { allowed: 'true or false', matches: (value) => typeof value === 'boolean' },
  device: { allowed: "a flag's text or a table", matches: isOptionSource },
  'optional-device': {
    allowed: "true, false, a flag's text or a table",
    matches: (value) => typeof value === 'boolean' || isOptionSource(value),
  },
  devices: {
    allowed: "a list of flags' texts or tables",
    matches: (value) => Array.isArray(value) && value.every(isOptionSource),
  },
};

function parseFile(path: string): unknown {
  const text = readFileSync(path, 'utf8');
  return path.endsWith('.json') ? JSON.parse(text) : parseToml(text);
}

/**
 * Reads a configuration file: JSON when its name says so, else TOML.
 * @throws VmConfigError naming the file, and the key that is wrong
 */
export function readDescriptionFile(path: string): VmDescription {
  let found: unknown;
  try {
    found = parseFile(path);
  } catch (error) {
    throw new VmConfigError(
      `configuration file ${path}`,
      `unreadable (${messageOf(error)})`,
      'TOML, or JSON in *.json',
    );
  }
  if (typeof found !== 'object' || found === null || Array.isArray(found)) {
    throw new VmConfigError(`configuration file ${path}`, 'no table of keys', Object.keys(SHAPES).join(', '));
  }
  for (const [key, value] of Object.entries(found)) {
    const shape = Object.hasOwn(SHAPES, key) ? SHAPES[key as keyof VmDescription] : undefined;
    if (shape === undefined)
      throw new VmConfigError(`${path}: key`, JSON.stringify(key), Object.keys(SHAPES).join(', '));
    if (!MATCHES[shape].matches(value)) {
      throw new VmConfigError(`${path}: ${key}`, JSON.stringify(value), MATCHES[shape].allowed);
    }
  }
  return found;
}
