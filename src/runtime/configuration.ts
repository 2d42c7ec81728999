// The keys of the configuration: what each may be, and what it is where nobody says otherwise. docs/configuration.md tells what
// they do; names are Kata's where it has one.
import { isAbsolute } from 'node:path';
import { CACHE_POLICIES } from '../host/cache-policy.ts';
import { shownValue } from '../lib/errors.ts';
import { HUGE_PAGE_SIZES, MAXIMUM_CPUS } from '../vmm/limits.ts';
import type { Installation } from './installation.ts';
import { nearestName } from './nearest-name.ts';
import { RuntimeError } from './runtime-error.ts';

/** The values that a key may have. */
interface Kind<Value> {
  /** In words. */
  readonly allowed: string;
  readonly fits: (found: unknown) => found is Value;
  /** Makes a value of an annotation's text; what does not fit is for `fits` to refuse. */
  readonly fromText: (text: string) => unknown;
}

interface Key<Value> {
  readonly kind: Kind<Value>;
  /** Absent where the installation has it. */
  readonly otherwise?: Value;
  /** Kata's annotation for the same, after `io.katacontainers.config.`. */
  readonly kata?: string;
}

const isText = (found: unknown): found is string => typeof found === 'string';
const isList = (found: unknown): found is readonly string[] => Array.isArray(found) && found.every(isText);
/** Neither what ends a string before its end nor what ends a line of it. */
const isPlain = (text: string): boolean => /^\P{Cc}*$/u.test(text);

const path: Kind<string> = {
  allowed: 'an absolute path',
  fits: (found): found is string => isText(found) && isAbsolute(found) && isPlain(found),
  fromText: (text) => text,
};

const optionalPath: Kind<string> = {
  ...path,
  allowed: 'an absolute path, or nothing',
  fits: (found): found is string => found === '' || path.fits(found),
};

const parameters: Kind<string> = {
  allowed: 'a text of one line',
  fits: (found): found is string => isText(found) && isPlain(found),
  fromText: (text) => text,
};

const flag: Kind<boolean> = {
  allowed: 'true or false',
  fits: (found): found is boolean => typeof found === 'boolean',
  fromText: (text) => ({ true: true, false: false })[text] ?? text,
};

const list: Kind<readonly string[]> = {
  allowed: 'a list of texts',
  fits: (found): found is readonly string[] => isList(found) && found.every(isPlain),
  fromText(text) {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  },
};

function integer(minimum: number, maximum: number, unit = ''): Kind<number> {
  return {
    allowed: `a whole number from ${minimum} to ${maximum}${unit}`,
    fits: (found): found is number => Number.isInteger(found) && Number(found) >= minimum && Number(found) <= maximum,
    fromText: (text) => (/^\d+$/.test(text) ? Number(text) : text),
  };
}

function oneOf<Word extends string>(words: readonly Word[]): Kind<Word> {
  return {
    allowed: `one of ${words.join(', ')}`,
    fits: (found): found is Word => (words as readonly unknown[]).includes(found),
    fromText: (text) => text,
  };
}

/** Infers what a key holds from its kind. */
function key<Value>(kind: Kind<Value>, rest: Omit<Key<NoInfer<Value>>, 'kind'> = {}): Key<Value> {
  return { kind, ...rest };
}

/** The least memory that a guest of ours boots and works with. */
export const MINIMUM_MEMORY_MIB = 64;
const MAXIMUM_MEMORY_MIB = 1024 * 1024;
/** Below it, the VMM is killed before its guest has started. */
const MINIMUM_HOST_OVERHEAD_MIB = 128;
/** Each is a device of the machine from its start. */
const MAXIMUM_NETWORK_CARDS = 8;
const MAXIMUM_SECONDS = 24 * 60 * 60;
const mebibytes = (minimum: number): Kind<number> => integer(minimum, MAXIMUM_MEMORY_MIB, ' (MiB)');
const seconds = integer(1, MAXIMUM_SECONDS, ' (seconds)');

/** What becomes of a container that asks for the host's network, in which a VM cannot be: an error, or no network. */
const HOST_NETWORK_ANSWERS = ['refuse', 'none'] as const;
export type HostNetworkAnswer = (typeof HOST_NETWORK_ANSWERS)[number];

/** Every key but `enable_annotations`, which is about these. */
const ANNOTATION_KEYS = {
  kernel: key(path, { kata: 'hypervisor.kernel' }),
  initrd: key(path, { kata: 'hypervisor.initrd' }),
  kernel_params: key(parameters, { otherwise: '', kata: 'hypervisor.kernel_params' }),
  default_vcpus: key(integer(1, MAXIMUM_CPUS), { otherwise: 1, kata: 'hypervisor.default_vcpus' }),
  default_maxvcpus: key(integer(0, MAXIMUM_CPUS), { otherwise: 0, kata: 'hypervisor.default_max_vcpus' }),
  default_memory: key(mebibytes(MINIMUM_MEMORY_MIB), { otherwise: 512, kata: 'hypervisor.default_memory' }),
  default_maxmemory: key(mebibytes(0), { otherwise: 0 }),
  guest_memory_overhead: key(mebibytes(0), { otherwise: 0 }),
  host_memory_overhead: key(mebibytes(MINIMUM_HOST_OVERHEAD_MIB), { otherwise: 256 }),
  enable_hugepages: key(flag, { otherwise: false, kata: 'hypervisor.enable_hugepages' }),
  hugepage_size: key(oneOf(HUGE_PAGE_SIZES), { otherwise: '2M' }),
  network_interfaces: key(integer(0, MAXIMUM_NETWORK_CARDS), { otherwise: 2 }),
  host_network: key(oneOf(HOST_NETWORK_ANSWERS), { otherwise: 'refuse' }),
  virtio_rng: key(flag, { otherwise: true }),
  virtio_fs_daemon: key(optionalPath, { otherwise: '', kata: 'hypervisor.virtio_fs_daemon' }),
  virtio_fs_cache: key(oneOf(CACHE_POLICIES), { otherwise: 'auto', kata: 'hypervisor.virtio_fs_cache' }),
  virtio_fs_extra_args: key(list, { otherwise: [], kata: 'hypervisor.virtio_fs_extra_args' }),
  enable_debug: key(flag, { otherwise: false }),
  dial_timeout: key(seconds, { otherwise: 120 }),
  create_container_timeout: key(seconds, { otherwise: 240, kata: 'runtime.create_container_timeout' }),
} as const;

export type AnnotationKey = keyof typeof ANNOTATION_KEYS;
export const ANNOTATION_KEY_NAMES = Object.keys(ANNOTATION_KEYS) as readonly AnnotationKey[];

const annotationNames: Kind<readonly AnnotationKey[]> = {
  ...list,
  allowed: `a list of keys that annotations may set: ${ANNOTATION_KEY_NAMES.join(', ')}`,
  fits: (found): found is readonly AnnotationKey[] =>
    isList(found) && found.every((name) => Object.hasOwn(ANNOTATION_KEYS, name)),
};

const KEYS = {
  ...ANNOTATION_KEYS,
  // What a user of the host's engine may set who is not trusted with the host: nothing that names its files or takes from a pool.
  enable_annotations: key(annotationNames, {
    otherwise: ['default_vcpus', 'default_memory', 'default_maxvcpus', 'default_maxmemory', 'kernel_params'],
  }),
} as const;

export type ConfigurationKey = keyof typeof KEYS;
export const CONFIGURATION_KEYS = Object.keys(KEYS) as readonly ConfigurationKey[];

type ValueOf<Of> = Of extends Key<infer Value> ? Value : never;
export type Configuration = { readonly [Name in ConfigurationKey]: ValueOf<(typeof KEYS)[Name]> };

/** A configuration, and where each value comes from: a file or an annotation; absent for what nobody has set. */
export interface Settings {
  readonly values: Configuration;
  readonly sources: Readonly<Partial<Record<ConfigurationKey, string>>>;
}

/** What holds where nobody says otherwise. */
export function defaultSettings({ kernel, initramfs }: Installation): Settings {
  const values = CONFIGURATION_KEYS.map((name) => [name, KEYS[name].otherwise]);
  return { values: { ...Object.fromEntries(values), kernel, initrd: initramfs }, sources: {} };
}

/**
 * Sets the keys that a table names.
 * @param source a file, for messages
 * @throws RuntimeError INVALID_CONFIGURATION
 */
export function withTable(settings: Settings, table: Readonly<Record<string, unknown>>, source: string): Settings {
  return Object.entries(table).reduce((now, [name, value]) => {
    if (!isConfigurationKey(name)) {
      throw invalid(`${source}: there is no key ${name}${didYouMean(name, CONFIGURATION_KEYS)}`, { key: name });
    }
    return withValue(now, name, value, { source, at: `${source}: ${name}` });
  }, settings);
}

/** Sets the key that an annotation names. @throws RuntimeError INVALID_CONFIGURATION */
export function withAnnotation(settings: Settings, name: AnnotationKey, text: string, annotation: string): Settings {
  const source = `annotation ${annotation}`;
  return withValue(settings, name, KEYS[name].kind.fromText(text), { source, at: source });
}

function withValue(
  { values, sources }: Settings,
  name: ConfigurationKey,
  value: unknown,
  { source, at }: { readonly source: string; readonly at: string },
): Settings {
  const { kind } = KEYS[name];
  if (!kind.fits(value)) {
    throw invalid(`${at} is ${shownValue(value)}; allowed is ${kind.allowed}`, { key: name });
  }
  return { values: { ...values, [name]: value }, sources: { ...sources, [name]: source } };
}

function isConfigurationKey(name: string): name is ConfigurationKey {
  return Object.hasOwn(KEYS, name);
}

/** Kata's annotations that mean one of our keys, by their whole names. */
export const KATA_ANNOTATIONS: ReadonlyMap<string, AnnotationKey> = new Map(
  ANNOTATION_KEY_NAMES.flatMap((name) => {
    const { kata }: Key<unknown> = ANNOTATION_KEYS[name];
    return kata === undefined ? [] : [[`io.katacontainers.config.${kata}`, name] as const];
  }),
);

/** The end of a message about a name that there is not. */
export function didYouMean(name: string, names: readonly string[]): string {
  const nearest = nearestName(name, names);
  return nearest === undefined ? `; there are: ${names.join(', ')}` : `; did you mean ${nearest}?`;
}

export function invalid(message: string, details: { readonly key?: string; readonly path?: string }): RuntimeError {
  return new RuntimeError('INVALID_CONFIGURATION', message, details);
}
