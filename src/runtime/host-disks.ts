// The disks of the host that a container is given: as devices, by their numbers, or as what a mount mounts, by path.
import { readFileSync, statSync } from 'node:fs';
import { messageOf } from '../lib/errors.ts';
import type { Config, Mount } from '../oci/config.ts';
import { disksOf, type GuestDisk, type HostDisk, keyOf } from '../oci/guest-devices.ts';
import { isGuestFilesystem } from '../oci/guest-mounts.ts';
import type { DeviceNumber } from '../oci/resources.ts';
import type { GuestDetailsResponse } from '../protocol/agent.gen.ts';
import { RuntimeError } from './runtime-error.ts';

/** A disk and where it is in the guest. */
export interface PlacedDisk extends GuestDisk {
  /** In the guest. */
  readonly path: string;
}

/**
 * The disks that the VM of a container is to have, in their order.
 * @throws ConfigError for a device that a guest cannot have
 */
export function hostDisks(config: Config): HostDisk[] {
  const disks = new Map(disksOf(config).map((disk) => [keyOf(disk), disk]));
  for (const mount of config.mounts ?? []) {
    const disk = diskOf(mount);
    if (disk === undefined) continue;
    const readOnly = (mount.options ?? []).includes('ro') && disks.get(keyOf(disk))?.readOnly !== false;
    disks.set(keyOf(disk), { ...disk, readOnly });
  }
  return [...disks.values()];
}

/** Where the guest has the disks that were given to its VM, in the same order. @throws RuntimeError SANDBOX_FAILED */
export function placeDisks(disks: readonly HostDisk[], { disks: found }: GuestDetailsResponse): PlacedDisk[] {
  return disks.map((host, index) => {
    const guest = found[index];
    if (guest !== undefined) return { host, guest, path: `/dev/${guest.name}` };
    throw new RuntimeError('SANDBOX_FAILED', `the guest has ${found.length} of its ${disks.length} disks`);
  });
}

/** Lets mounts of the host's disks mount the guest's. */
export function mountsOfDisks(mounts: readonly Mount[], disks: readonly PlacedDisk[]): readonly Mount[] {
  if (disks.length === 0) return mounts;
  return mounts.map((mount) => {
    const disk = diskOf(mount);
    const placed = disk && disks.find(({ host }) => keyOf(host) === keyOf(disk));
    return placed === undefined ? mount : { ...mount, source: placed.path };
  });
}

/** The block device of the host that a mount mounts; undefined for other mounts. */
function diskOf({ type = '', source = '', options }: Mount): DeviceNumber | undefined {
  if (isGuestFilesystem({ type, ...(options ? { options } : {}) }) || !source.startsWith('/')) return undefined;
  const stat = statSync(source, { throwIfNoEntry: false });
  return stat?.isBlockDevice() === true ? deviceNumbers(stat.rdev) : undefined;
}

/**
 * The path of a block device of the host.
 * @throws RuntimeError INVALID_BUNDLE where there is none with these numbers
 */
export function blockDevicePath({ major, minor }: DeviceNumber): string {
  const missing = (why: string, cause?: unknown): RuntimeError => {
    const message = `cannot give the block device ${major}:${minor} to the guest: ${why}`;
    return new RuntimeError('INVALID_BUNDLE', message, { major, minor }, { cause });
  };
  let uevent: string;
  try {
    uevent = readFileSync(`/sys/dev/block/${major}:${minor}/uevent`, 'utf8');
  } catch (cause) {
    throw missing(`the host has none: ${messageOf(cause)}`, cause);
  }
  const path = `/dev/${/^DEVNAME=(.+)$/m.exec(uevent)?.[1]}`;
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isBlockDevice() !== true || keyOf(deviceNumbers(stat.rdev)) !== keyOf({ major, minor })) {
    throw missing(`${path}, which the kernel calls it, is something else`);
  }
  return path;
}

/** Of a number as stat(2) gives it: 12 bits of the major between the lower 8 and the upper 12 of the minor (makedev(3)). */
function deviceNumbers(number: number): DeviceNumber {
  return { major: (number >>> 8) & 0xfff, minor: (number & 0xff) | ((number >>> 12) & 0xfff00) };
}
