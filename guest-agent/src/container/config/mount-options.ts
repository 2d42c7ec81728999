// The options of an OCI mount, by their kind.
// Source: OCI runtime-spec 1.2, config, "Linux mount options"; mount(2); mount_setattr(2).
import * as abi from '../../linux/abi.gen.ts';
import { lookUp } from './json.ts';

/** A flag option: what it is for a new mount (MS_*) and for a bind mount (MOUNT_ATTR_*). */
interface FlagOption {
  readonly clear: boolean;
  readonly flag: number;
  readonly attribute: number;
}

const option = (clear: boolean, flag: number, attribute = 0): FlagOption => ({ clear, flag, attribute });

const FLAGS: Readonly<Record<string, FlagOption>> = {
  defaults: option(false, 0),
  loud: option(true, abi.MS_SILENT),
  silent: option(false, abi.MS_SILENT),
  async: option(true, abi.MS_SYNCHRONOUS),
  sync: option(false, abi.MS_SYNCHRONOUS),
  dirsync: option(false, abi.MS_DIRSYNC),
  mand: option(false, abi.MS_MANDLOCK),
  nomand: option(true, abi.MS_MANDLOCK),
  iversion: option(false, abi.MS_I_VERSION),
  noiversion: option(true, abi.MS_I_VERSION),
  lazytime: option(false, abi.MS_LAZYTIME),
  nolazytime: option(true, abi.MS_LAZYTIME),
  remount: option(false, abi.MS_REMOUNT),
  ro: option(false, abi.MS_RDONLY, abi.MOUNT_ATTR_RDONLY),
  rw: option(true, abi.MS_RDONLY, abi.MOUNT_ATTR_RDONLY),
  suid: option(true, abi.MS_NOSUID, abi.MOUNT_ATTR_NOSUID),
  nosuid: option(false, abi.MS_NOSUID, abi.MOUNT_ATTR_NOSUID),
  dev: option(true, abi.MS_NODEV, abi.MOUNT_ATTR_NODEV),
  nodev: option(false, abi.MS_NODEV, abi.MOUNT_ATTR_NODEV),
  exec: option(true, abi.MS_NOEXEC, abi.MOUNT_ATTR_NOEXEC),
  noexec: option(false, abi.MS_NOEXEC, abi.MOUNT_ATTR_NOEXEC),
  diratime: option(true, abi.MS_NODIRATIME, abi.MOUNT_ATTR_NODIRATIME),
  nodiratime: option(false, abi.MS_NODIRATIME, abi.MOUNT_ATTR_NODIRATIME),
  symfollow: option(true, abi.MS_NOSYMFOLLOW, abi.MOUNT_ATTR_NOSYMFOLLOW),
  nosymfollow: option(false, abi.MS_NOSYMFOLLOW, abi.MOUNT_ATTR_NOSYMFOLLOW),
};

/** Access times are one choice of several, not flags: each option names its value. */
const ACCESS_TIMES: Readonly<Record<string, readonly [flag: number, attribute: number]>> = {
  atime: [0, abi.MOUNT_ATTR_RELATIME],
  relatime: [abi.MS_RELATIME, abi.MOUNT_ATTR_RELATIME],
  norelatime: [0, abi.MOUNT_ATTR_RELATIME],
  noatime: [abi.MS_NOATIME, abi.MOUNT_ATTR_NOATIME],
  strictatime: [abi.MS_STRICTATIME, abi.MOUNT_ATTR_STRICTATIME],
  nostrictatime: [0, abi.MOUNT_ATTR_RELATIME],
};

/** OCI runtime-spec 1.2, config, "Linux mount options" and config-linux, "Rootfs Mount Propagation". */
export const PROPAGATIONS: Readonly<Record<string, number>> = {
  private: abi.MS_PRIVATE,
  rprivate: abi.MS_PRIVATE | abi.MS_REC,
  slave: abi.MS_SLAVE,
  rslave: abi.MS_SLAVE | abi.MS_REC,
  shared: abi.MS_SHARED,
  rshared: abi.MS_SHARED | abi.MS_REC,
  unbindable: abi.MS_UNBINDABLE,
  runbindable: abi.MS_UNBINDABLE | abi.MS_REC,
};

/** Attributes to set on and clear from mounts that are there. */
export interface AttributeChange {
  readonly set: number;
  readonly clear: number;
}

/** Whether something is done to no mount, to one, or to one and those below it. */
export type Extent = 'no' | 'one' | 'recursive';

export interface MountOptions {
  readonly bind: Extent;
  /** MS_* for a new mount. */
  readonly flags: number;
  /** MOUNT_ATTR_* of this mount alone. */
  readonly attributes: AttributeChange;
  /** For `rro` and the like: this mount and those below. */
  readonly recursiveAttributes: AttributeChange;
  readonly propagations: readonly number[];
  /** `idmap` or `ridmap`: ids of the mount are mapped. */
  readonly idMap: Extent;
  /** `tmpcopyup`: a tmpfs begins with a copy of what it covers. */
  readonly copyUp: boolean;
  /** What is left, for the file system itself. */
  readonly data: string;
}

function change(before: AttributeChange, { clear, attribute }: FlagOption): AttributeChange {
  return clear
    ? { set: before.set & ~attribute, clear: before.clear | attribute }
    : { set: before.set | attribute, clear: before.clear & ~attribute };
}

/** mount_setattr(2): to change the access time, all of its bits are cleared and the new value is set. */
function changeAccessTime(before: AttributeChange, attribute: number): AttributeChange {
  return {
    set: (before.set & ~abi.MOUNT_ATTR__ATIME) | attribute,
    clear: before.clear | abi.MOUNT_ATTR__ATIME,
  };
}

const widest = (before: Extent, extent: Extent): Extent => (before === 'recursive' ? before : extent);

/** Sorts options; later ones win over earlier ones. */
export function parseMountOptions(options: readonly string[]): MountOptions {
  let bind: Extent = 'no';
  let idMap: Extent = 'no';
  let copyUp = false;
  let flags = 0;
  let attributes: AttributeChange = { set: 0, clear: 0 };
  let recursiveAttributes: AttributeChange = { set: 0, clear: 0 };
  const propagations: number[] = [];
  const data: string[] = [];
  for (const name of options) {
    const flagOption = lookUp(FLAGS, name);
    const accessTime = lookUp(ACCESS_TIMES, name);
    const propagation = lookUp(PROPAGATIONS, name);
    const inner = name.startsWith('r') ? name.slice(1) : '';
    const recursive = lookUp(FLAGS, inner);
    const recursiveTime = lookUp(ACCESS_TIMES, inner);
    if (name === 'bind') bind = widest(bind, 'one');
    else if (name === 'rbind') bind = 'recursive';
    else if (name === 'idmap') idMap = widest(idMap, 'one');
    else if (name === 'ridmap') idMap = 'recursive';
    else if (name === 'tmpcopyup') copyUp = true;
    else if (flagOption !== undefined) {
      flags = flagOption.clear ? flags & ~flagOption.flag : flags | flagOption.flag;
      attributes = change(attributes, flagOption);
    } else if (accessTime !== undefined) {
      const [flag, attribute] = accessTime;
      flags = (flags & ~(abi.MS_RELATIME | abi.MS_NOATIME | abi.MS_STRICTATIME)) | flag;
      attributes = changeAccessTime(attributes, attribute);
    } else if (propagation !== undefined) propagations.push(propagation);
    else if (recursive !== undefined && recursive.attribute !== 0) {
      recursiveAttributes = change(recursiveAttributes, recursive);
    } else if (recursiveTime !== undefined) {
      recursiveAttributes = changeAccessTime(recursiveAttributes, recursiveTime[1]);
    } else data.push(name);
  }
  return { bind, flags, attributes, recursiveAttributes, propagations, idMap, copyUp, data: data.join(',') };
}
