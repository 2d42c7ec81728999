// linux.resources.devices (OCI runtime-spec 1.2, config-linux, "Allowed Device list").
import { StatusError } from '../../../../src/protocol/status.ts';
import * as abi from '../../linux/abi.gen.ts';
import { type JsonObject, lookUp } from './json.ts';

/** Says of some accesses to some devices whether they are allowed. Of several rules the last that fits counts. */
export interface DeviceRule {
  readonly allow: boolean;
  /** BPF_DEVCG_DEV_*; undefined for every access to every device. */
  readonly type: number | undefined;
  /** undefined for all. */
  readonly major: number | undefined;
  readonly minor: number | undefined;
  /** Mask of BPF_DEVCG_ACC_*. */
  readonly access: number;
}

const TYPES: Readonly<Record<string, number>> = { c: abi.BPF_DEVCG_DEV_CHAR, b: abi.BPF_DEVCG_DEV_BLOCK };

const ACCESS: Readonly<Record<string, number>> = {
  r: abi.BPF_DEVCG_ACC_READ,
  w: abi.BPF_DEVCG_ACC_WRITE,
  m: abi.BPF_DEVCG_ACC_MKNOD,
};
export const EVERY_ACCESS = abi.BPF_DEVCG_ACC_READ | abi.BPF_DEVCG_ACC_WRITE | abi.BPF_DEVCG_ACC_MKNOD;

/** Device numbers are 32 bits each in what the kernel asks the filter (struct bpf_cgroup_dev_ctx). */
const NUMBER_MAX = 2 ** 32 - 1;

/** Reads the rules. @returns undefined where there are none @throws StatusError INVALID_ARGUMENT */
export function parseDeviceRules(resources: JsonObject): DeviceRule[] | undefined {
  return resources.has('devices') ? resources.objects('devices').map(parseRule) : undefined;
}

function parseRule(rule: JsonObject): DeviceRule {
  const allow = rule.boolean('allow');
  const letter = rule.string('type') || 'a';
  const access = rule.string('access') || '';
  // "a" is everything, whatever numbers and access stand beside it: as in cgroup v1, and in runc.
  if (letter === 'a') {
    accessOf(rule, access);
    return { allow, type: undefined, major: undefined, minor: undefined, access: EVERY_ACCESS };
  }
  const type = lookUp(TYPES, letter);
  if (type === undefined) throw invalid(rule, 'type', letter, 'a, b or c');
  if (access === '') throw invalid(rule, 'access', access, 'one or more of r, w and m');
  return {
    allow,
    type,
    major: deviceNumber(rule, 'major'),
    minor: deviceNumber(rule, 'minor'),
    access: accessOf(rule, access),
  };
}

function accessOf(rule: JsonObject, letters: string): number {
  let mask = 0;
  for (const letter of letters) {
    const bit = lookUp(ACCESS, letter);
    if (bit === undefined) throw invalid(rule, 'access', letters, 'made of r, w and m');
    mask |= bit;
  }
  return mask;
}

/** -1 has always meant all of them to runc and its callers. */
function deviceNumber(rule: JsonObject, name: string): number | undefined {
  const value = rule.number(name) ?? -1;
  if (value === -1) return undefined;
  if (value < 0 || value > NUMBER_MAX) throw invalid(rule, name, value, `0 to ${NUMBER_MAX}, or -1 for all`);
  return value;
}

function invalid(rule: JsonObject, name: string, found: unknown, allowed: string): StatusError {
  const message = `config.json: ${rule.pathOf(name)} is ${JSON.stringify(found)}; allowed is ${allowed}`;
  return new StatusError('INVALID_ARGUMENT', message);
}

const character = (major: number, minor: number | undefined, access = EVERY_ACCESS): DeviceRule => ({
  allow: true,
  type: abi.BPF_DEVCG_DEV_CHAR,
  major,
  minor,
  access,
});
const anyNode = (type: number): DeviceRule => ({
  allow: true,
  type,
  major: undefined,
  minor: undefined,
  access: abi.BPF_DEVCG_ACC_MKNOD,
});

/** config-linux, "Default Devices". Numbers: Documentation/admin-guide/devices.txt. */
export const DEFAULT_DEVICES: readonly (readonly [path: string, major: number, minor: number])[] = [
  ['/dev/null', 1, 3],
  ['/dev/random', 1, 8],
  ['/dev/full', 1, 7],
  ['/dev/tty', 5, 0],
  ['/dev/zero', 1, 5],
  ['/dev/urandom', 1, 9],
];

/** Pseudo-terminals, and the device that makes them. */
const TERMINALS = [character(136, undefined), character(5, 2)];

/**
 * Adds what every container of runc may do, whatever its rules say: make device nodes, and use the default devices and its
 * terminals. A default device at whose path the config has one of its own is left out.
 */
export function withDefaultRules(rules: readonly DeviceRule[], devicePaths: readonly string[]): DeviceRule[] {
  const defaults = DEFAULT_DEVICES.filter(([path]) => !devicePaths.includes(path));
  return [
    ...rules,
    anyNode(abi.BPF_DEVCG_DEV_CHAR),
    anyNode(abi.BPF_DEVCG_DEV_BLOCK),
    ...defaults.map(([, major, minor]) => character(major, minor)),
    ...TERMINALS,
  ];
}
