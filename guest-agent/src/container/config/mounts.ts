// mounts, linux.devices and linux.rootfsPropagation.
import { StatusError } from '../../../../src/protocol/status.ts';
import * as abi from '../../linux/abi.gen.ts';
import { type JsonObject, lookUp } from './json.ts';
import type { DevicePlan, MountPlan } from './plan.ts';
import { unsupported } from './problems.ts';

/** OCI runtime-spec 1.2, config-linux, "Rootfs Mount Propagation". */
const PROPAGATIONS: Readonly<Record<string, number>> = {
  '': abi.MS_SLAVE | abi.MS_REC,
  private: abi.MS_PRIVATE,
  rprivate: abi.MS_PRIVATE | abi.MS_REC,
  slave: abi.MS_SLAVE,
  rslave: abi.MS_SLAVE | abi.MS_REC,
};

export function parsePropagation(linux: JsonObject | undefined): number {
  const name = linux?.string('rootfsPropagation') ?? '';
  const flags = lookUp(PROPAGATIONS, name);
  if (flags === undefined) throw unsupported('linux.rootfsPropagation', `"${name}" cannot reach out of the guest`);
  return flags;
}

export function parseMount(mount: JsonObject, warnings: string[]): MountPlan {
  for (const name of ['uidMappings', 'gidMappings']) {
    if (mount.has(name)) throw unsupported(mount.pathOf(name), 'there are no id-mapped mounts yet');
  }
  const options = mount.strings('options');
  if (options.includes('tmpcopyup')) {
    warnings.push(`${mount.pathOf('options')}: tmpcopyup is not applied: the tmpfs begins empty`);
  }
  return {
    destination: mount.requiredString('destination'),
    type: mount.string('type') ?? '',
    source: mount.string('source') ?? '',
    options,
  };
}

/** OCI runtime-spec 1.2, config-linux, "Devices". */
const DEVICE_TYPES: Readonly<Record<string, number>> = {
  c: abi.S_IFCHR,
  u: abi.S_IFCHR,
  b: abi.S_IFBLK,
  p: abi.S_IFIFO,
};
const DEVICE_MODE = 0o666;

export function parseDevice(device: JsonObject): DevicePlan {
  const type = lookUp(DEVICE_TYPES, device.requiredString('type'));
  if (type === undefined) {
    throw new StatusError('INVALID_ARGUMENT', `config.json: ${device.pathOf('type')} must be c, u, b or p`);
  }
  return {
    path: device.requiredString('path'),
    type,
    major: device.number('major') ?? 0,
    minor: device.number('minor') ?? 0,
    mode: device.number('fileMode') ?? DEVICE_MODE,
    uid: device.number('uid') ?? 0,
    gid: device.number('gid') ?? 0,
  };
}
