// mounts, linux.devices and linux.rootfsPropagation.
import { StatusError } from '../../../../src/protocol/status.ts';
import * as abi from '../../linux/abi.gen.ts';
import { type JsonObject, lookUp } from './json.ts';
import { PROPAGATIONS, parseMountOptions } from './mount-options.ts';
import { parseMapping } from './namespaces.ts';
import type { DevicePlan, MountPlan } from './plan.ts';

/** OCI runtime-spec 1.2, config-linux, "Rootfs Mount Propagation". @returns MS_* flags; 0 where nothing is said */
export function parsePropagation(linux: JsonObject | undefined): number {
  const name = linux?.string('rootfsPropagation') ?? '';
  const flags = name === '' ? 0 : lookUp(PROPAGATIONS, name);
  if (flags === undefined) {
    throw invalid(`linux.rootfsPropagation is "${name}"; allowed is one of ${Object.keys(PROPAGATIONS).join(', ')}`);
  }
  return flags;
}

export function parseMount(mount: JsonObject, warnings: string[]): MountPlan {
  const destination = mount.requiredString('destination');
  const type = mount.string('type') ?? '';
  const source = mount.string('source') ?? '';
  const options = mount.strings('options');
  const { bind, flags, data, idMap, copyUp } = parseMountOptions(options);
  const isRemount = (flags & abi.MS_REMOUNT) !== 0;
  const isBind = bind !== 'no' || type === 'bind';
  if (isBind && !isRemount && !source.startsWith('/')) {
    throw invalid(`${mount.pathOf('source')} is "${source}", and a bind mount needs an absolute path`);
  }
  if (!isBind && !isRemount && type === '') {
    throw invalid(`${mount.pathOf('type')} is missing: only bind mounts (options bind, rbind) can do without`);
  }
  if (isBind && data !== '') {
    warnings.push(`${mount.pathOf('options')}: ${data} has no effect on a bind mount`);
  }
  if (copyUp && (isBind || type !== 'tmpfs')) {
    warnings.push(`${mount.pathOf('options')}: tmpcopyup has no effect on what is no tmpfs`);
  }
  const uidMappings = mount.objects('uidMappings').map(parseMapping);
  const gidMappings = mount.objects('gidMappings').map(parseMapping);
  const isMapped = idMap !== 'no' || uidMappings.length > 0 || gidMappings.length > 0;
  if (isMapped && !isBind) throw invalid(`${mount.path}: only bind mounts can be id-mapped`);
  // OCI runtime-spec 1.2, config, "Mounts": one of the two needs the other.
  if ((uidMappings.length === 0) !== (gidMappings.length === 0)) {
    throw invalid(`${mount.path} must have both uidMappings and gidMappings, or none of them`);
  }
  return {
    destination,
    type: isBind ? 'bind' : type,
    source,
    options,
    idMap: isMapped ? { recursive: idMap === 'recursive', uidMappings, gidMappings } : undefined,
  };
}

function invalid(text: string): StatusError {
  return new StatusError('INVALID_ARGUMENT', `config.json: ${text}`);
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
  if (type === undefined) throw invalid(`${device.pathOf('type')} must be c, u, b or p`);
  const path = device.requiredString('path');
  if (!path.startsWith('/')) throw invalid(`${device.pathOf('path')} "${path}" must be absolute`);
  for (const name of ['major', 'minor']) {
    if (type !== abi.S_IFIFO && !device.has(name)) throw invalid(`${device.pathOf(name)} is missing`);
  }
  return {
    path,
    type,
    major: device.number('major') ?? 0,
    minor: device.number('minor') ?? 0,
    // What type a file is, `type` says.
    mode: (device.number('fileMode') ?? DEVICE_MODE) & ~abi.S_IFMT,
    uid: device.number('uid') ?? 0,
    gid: device.number('gid') ?? 0,
  };
}
