// Where a container's control groups are to be: the rules of linux.cgroupsPath, which are runc's.
import { posix } from 'node:path';
import { CgroupError } from './cgroup-error.ts';
import type { CgroupLayout, Hierarchy } from './layout.ts';
import { parseSystemdPath, slicePath } from './systemd-names.ts';

/** A control group in one tree. */
export interface CgroupPlace {
  readonly controllers: readonly string[];
  readonly mountPoint: string;
  /** Absolute path of its folder, below the mount point. */
  readonly path: string;
}

/** A unit of systemd, which makes the control group. */
export interface SystemdUnit {
  readonly name: string;
  readonly slice: string;
  /** Whether it is the user's own systemd. */
  readonly isUser: boolean;
}

/** What is known of a container's control groups between verbs. */
export interface CgroupRecord {
  /** Of the trees with the controllers. */
  readonly version: 1 | 2;
  readonly places: readonly CgroupPlace[];
  readonly unit?: SystemdUnit;
  /** Whether a caller without the right to make them does without. */
  readonly isOptional: boolean;
  /** Whether they were found free and taken: what is in them is the container's then, and ends with it. */
  readonly isClaimed: boolean;
}

export interface CgroupRequest {
  readonly id: string;
  /** linux.cgroupsPath: absolute, relative or empty; with `systemd` of the form "slice:prefix:name". */
  readonly cgroupsPath: string;
  /** `--systemd-cgroup` */
  readonly systemd: boolean;
  /** Whether the caller need not have any rights: `--rootless`. */
  readonly rootless: boolean;
}

/** The systemd that runs on this host. */
export interface RunningSystemd {
  /** The user's own, for callers who are not root. */
  readonly isUser: boolean;
  /** Path of the control group below which its slices are; "/" but for a user's. */
  readonly cgroup: string;
}

/**
 * @param systemd undefined where systemd does not manage this host; its names are honoured all the same
 * @throws CgroupError INVALID_PATH
 */
export function planCgroup(layout: CgroupLayout, request: CgroupRequest, systemd?: RunningSystemd): CgroupRecord {
  const { version } = layout;
  // As runc has it: whoever names a path wants it.
  const isOptional = request.rootless && request.cgroupsPath === '';
  const common = { version, isOptional, isClaimed: false };
  if (!request.systemd) return { ...common, places: placesOf(layout, innerPath(request)) };
  const { slice, unit } = parseSystemdPath(request.cgroupsPath, request.id, systemd?.isUser === true);
  const inner = posix.join(systemd?.cgroup ?? '/', slicePath(slice), unit);
  const places = placesOf(layout, inner);
  return systemd === undefined
    ? { ...common, places }
    : { ...common, places, unit: { name: unit, slice, isUser: systemd.isUser } };
}

/** Cleans a path of the caller: no ".." leads out. Empty stands for the container's id, relative. */
function innerPath({ id, cgroupsPath }: CgroupRequest): string {
  if (cgroupsPath === '') return id;
  const cleaned = posix.join('/', cgroupsPath).replace(/(?<=.)\/$/, '');
  if (cleaned === '/') {
    const message = `linux.cgroupsPath is ${JSON.stringify(cgroupsPath)}, which names no control group of its own: name one, such as /tskata/${id}`;
    throw new CgroupError('INVALID_PATH', message);
  }
  return cgroupsPath.startsWith('/') ? cleaned : cleaned.slice(1);
}

function placesOf(layout: CgroupLayout, inner: string): CgroupPlace[] {
  return layout.hierarchies.map((hierarchy) => ({
    controllers: hierarchy.controllers,
    mountPoint: hierarchy.mountPoint,
    path: inner.startsWith('/') ? posix.join(hierarchy.mountPoint, inner) : posix.join(base(layout, hierarchy), inner),
  }));
}

/** Below our own control group; on version 2 beside it: one with processes in it can pass no controllers down. */
function base({ version }: CgroupLayout, { mountPoint, own }: Hierarchy): string {
  return version === 1 || own === mountPoint ? own : posix.dirname(own);
}
