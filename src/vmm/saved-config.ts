// The configuration in a snapshot: host input that may have been written by anybody, so each value is judged by its type before
// it is judged as a configuration.

import { CACHE_POLICIES } from '../host/cache-policy.ts';
import { CACHE_MODES } from '../host/raw-file.ts';
import { IMAGE_FORMATS } from '../host/storage-daemon.ts';
import { shownValue } from '../lib/errors.ts';
import type { VmConfig } from './config.ts';
import { VmConfigError } from './config-error.ts';
import type { BalloonConfig } from './devices/balloon.ts';
import type { ConsoleConfig } from './devices/console.ts';
import type { DiskConfig } from './devices/disk.ts';
import type { NetConfig, NetEnd } from './devices/net.ts';
import type { RateLimitConfig } from './devices/rate-limit.ts';
import type { ShareConfig } from './devices/share.ts';
import type { VsockConfig } from './devices/vsock.ts';
import { HUGE_PAGE_SIZES } from './limits.ts';

/** @throws VmConfigError unless the value, which messages call by `name`, is what it has to be */
type Check = (value: unknown, name: string) => void;

/** A check for every key that there is. */
type Checks<Config> = { readonly [Key in keyof Config]-?: Check };

function refuse(value: unknown, name: string, allowed: string): never {
  throw new VmConfigError(name, shownValue(value), allowed);
}

const typed =
  (type: 'string' | 'number' | 'boolean', allowed: string): Check =>
  (value, name) => {
    if (typeof value !== type) refuse(value, name, allowed);
  };
const text = typed('string', 'a text');
const number = typed('number', 'a number');
const flag = typed('boolean', 'true or false');

const word =
  (words: readonly string[]): Check =>
  (value, name) => {
    if (typeof value !== 'string' || !words.includes(value)) refuse(value, name, words.join(' or '));
  };

const optional =
  (check: Check): Check =>
  (value, name) => {
    if (value !== undefined) check(value, name);
  };

const listOf =
  (check: Check): Check =>
  (value, name) => {
    if (!Array.isArray(value)) refuse(value, name, 'a list');
    for (const [index, one] of value.entries()) check(one, `${name}[${index}]`);
  };

const table =
  <Config>(checks: Checks<Config>): Check =>
  (value, name) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(value, name, 'a table');
    for (const [key, check] of Object.entries<Check>(checks)) {
      check(Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined, `${name}.${key}`);
    }
  };

const limit = optional(
  table<RateLimitConfig>({
    bytesPerSecond: optional(number),
    burstBytes: optional(number),
    operationsPerSecond: optional(number),
    burstOperations: optional(number),
  }),
);

const ENDS: { readonly [Kind in NetEnd['kind']]: Checks<Omit<Extract<NetEnd, { kind: Kind }>, 'kind'>> } = {
  tap: { name: text },
  fd: { fd: number },
  passt: { tcp: optional(text), udp: optional(text) },
  none: {},
};

const netEnd: Check = (value, name) => {
  table({ kind: word(Object.keys(ENDS)) })(value, name);
  table(ENDS[(value as NetEnd).kind])(value, name);
};

const CONFIG: Checks<VmConfig> = {
  kernelPath: text,
  initrdPath: optional(text),
  commandLine: optional(text),
  memoryMib: number,
  maxMemoryMib: optional(number),
  hugePages: optional(word(HUGE_PAGE_SIZES)),
  prefault: optional(flag),
  cpus: number,
  maxCpus: optional(number),
  serial: optional(flag),
  disks: optional(
    listOf(
      table<DiskConfig>({
        path: text,
        format: optional(word(['raw', ...IMAGE_FORMATS])),
        vhostUser: optional(flag),
        readOnly: optional(flag),
        id: optional(text),
        cache: optional(word(CACHE_MODES)),
        limit,
      }),
    ),
  ),
  nets: optional(
    listOf(
      table<NetConfig>({
        end: netEnd,
        vhost: optional(flag),
        mac: optional(text),
        mtu: optional(number),
        receiveLimit: limit,
        transmitLimit: limit,
      }),
    ),
  ),
  shares: optional(
    listOf(
      table<ShareConfig>({
        tag: text,
        directory: text,
        readOnly: optional(flag),
        cache: optional(word(CACHE_POLICIES)),
      }),
    ),
  ),
  vsock: optional(table<VsockConfig>({ guestCid: number, path: optional(text), vhost: optional(flag) })),
  console: optional(table<ConsoleConfig>({ path: optional(text) })),
  balloon: optional(
    table<BalloonConfig>({
      targetMib: optional(number),
      deflateOnOom: optional(flag),
      freePageReporting: optional(flag),
      statsIntervalSeconds: optional(number),
    }),
  ),
  entropy: optional(flag),
};

/** Takes what a snapshot has for a configuration. What it asks for is `checkVmConfig`'s to judge. @throws VmConfigError */
export function readSavedConfig(value: unknown): VmConfig {
  table(CONFIG)(value, 'config');
  return value as VmConfig;
}
