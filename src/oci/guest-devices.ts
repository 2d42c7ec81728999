// Devices of config.json as the guest needs them (OCI runtime-spec 1.2, config-linux, "Devices" and "Allowed Device list"). A
// container in a VM has the devices of its own kernel. Of the host's it can have disks, which the VM gets as disks.
import { ConfigError } from './check.ts';
import type { Config, Device, DeviceRule } from './config.ts';
import type { DeviceNumber } from './resources.ts';

/** A disk of the host that the VM is to have. */
export interface HostDisk extends DeviceNumber {
  readonly readOnly: boolean;
}

/** The same disk on both sides. */
export interface GuestDisk {
  readonly host: DeviceNumber;
  readonly guest: DeviceNumber;
}

/**
 * Character devices that the guest's kernel has by the numbers that every Linux has (admin-guide/devices.txt): memory devices
 * and kmsg, the terminals of a process, fuse and tun.
 */
const GUEST_CHARACTER_DEVICES: Readonly<Record<number, readonly number[]>> = {
  1: [3, 5, 7, 8, 9, 11],
  5: [0, 2],
  10: [200, 229],
};

/**
 * The disks of the host that a container is given by their numbers, each once.
 * @throws ConfigError for a device that a guest cannot have
 */
export function disksOf(config: Config): HostDisk[] {
  const disks = new Map<string, HostDisk>();
  if (hasEveryDevice(config)) return [];
  for (const [index, device] of (config.linux?.devices ?? []).entries()) {
    const { type, major = 0, minor = 0 } = device;
    if (type === 'b') {
      const readOnly = !mayWrite(config, { major, minor });
      disks.set(keyOf({ major, minor }), { major, minor, readOnly });
    } else if (!isGuestDevice(device)) {
      const allowed =
        'a disk (type b), or a device that every Linux has: a guest cannot have character devices of the host';
      throw new ConfigError(`linux.devices[${index}]`, device, allowed);
    }
  }
  return [...disks.values()];
}

/**
 * Exchanges the host's disks for the guest's.
 * @param disks those that the VM has
 * @returns what was left out, in words, beside the configuration
 * @throws ConfigError for a disk that the VM has not
 */
export function devicesForGuest(
  config: Config,
  disks: readonly GuestDisk[],
): { readonly config: Config; readonly warnings: readonly string[] } {
  const { linux } = config;
  if (!linux) return { config, warnings: [] };
  const guestOf = new Map(disks.map(({ host, guest }) => [keyOf(host), guest]));
  const given = linux.devices ?? [];
  const kept = hasEveryDevice(config) ? given.filter(isGuestDevice) : given;
  const devices = kept.map((device, index): Device => {
    if (device.type !== 'b') return device;
    const guest = guestOf.get(keyOf(device));
    if (guest !== undefined) return { ...device, ...guest };
    throw new ConfigError(`linux.devices[${index}]`, device, 'a disk that the VM was started with');
  });
  const rules = (linux.resources?.devices ?? undefined)?.flatMap((rule) => guestRules(rule, guestOf));
  const left = given.length - kept.length;
  return {
    config: {
      ...config,
      linux: {
        ...linux,
        devices,
        ...(rules === undefined ? {} : { resources: { ...linux.resources, devices: rules } }),
      },
    },
    warnings: left === 0 ? [] : [`${left} devices of the host are left out: the container has all of the guest's`],
  };
}

/**
 * Whether a container may use every device there is, as a privileged one of an engine, which then names all of the host's. In a
 * VM it has all of the guest's instead.
 */
function hasEveryDevice({ linux }: Config): boolean {
  const last = linux?.resources?.devices?.at(-1);
  return last?.allow === true && isForAll(last) && (last.access ?? 'rwm').length === 3;
}

function isForAll({ type, major, minor }: DeviceRule): boolean {
  return (type ?? 'a') === 'a' || type === '' || (isAny(major) && isAny(minor));
}

function isAny(number: number | undefined): boolean {
  return number === undefined || number === -1;
}

function isGuestDevice({ type, major = 0, minor = 0 }: Device): boolean {
  if (type === 'p') return true;
  return type !== 'b' && (GUEST_CHARACTER_DEVICES[major] ?? []).includes(minor);
}

/** Of several rules the last that fits counts. */
function mayWrite({ linux }: Config, disk: DeviceNumber): boolean {
  const rule = (linux?.resources?.devices ?? []).findLast(
    ({ access = '', type, major, minor }) =>
      access.includes('w') &&
      type !== 'c' &&
      (isAny(major) || major === disk.major) &&
      (isAny(minor) || minor === disk.minor),
  );
  return rule?.allow === true;
}

/** A number of a disk that the VM has not may be another disk's in the guest: nothing is said of it. */
function guestRules(rule: DeviceRule, guestOf: ReadonlyMap<string, DeviceNumber>): DeviceRule[] {
  if (rule.type !== 'b' || (isAny(rule.major) && isAny(rule.minor))) return [rule];
  const guest = guestOf.get(keyOf(rule));
  return guest === undefined ? [] : [{ ...rule, ...guest }];
}

/** What a device is told apart by. */
export function keyOf({ major, minor }: { readonly major?: number; readonly minor?: number }): string {
  return `${major}:${minor}`;
}
