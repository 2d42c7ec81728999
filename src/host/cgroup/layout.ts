// Which trees of control groups this host has: one of version 2, or one for each controller of version 1, with which a tree of
// version 2 without controllers may be ("hybrid").
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { CgroupError } from './cgroup-error.ts';

export interface Hierarchy {
  /** As /proc/PID/cgroup names them: controllers, or `name=systemd`. A tree of version 2 has none here. */
  readonly controllers: readonly string[];
  readonly mountPoint: string;
  /** The folder of this process's own control group, at or below the mount point. */
  readonly own: string;
}

export interface CgroupLayout {
  /** Which version has the controllers. */
  readonly version: 1 | 2;
  readonly hierarchies: readonly Hierarchy[];
}

/** Where everybody has them: cgroups(7), "Mounting v1 controllers" and systemd's documentation of its hierarchies. */
const MOUNT_POINT = '/sys/fs/cgroup';

interface Mount {
  readonly root: string;
  readonly mountPoint: string;
  readonly type: string;
  readonly superOptions: readonly string[];
}

/** @throws CgroupError NOT_MOUNTED */
export function hostLayout(): CgroupLayout {
  return readLayout(readFileSync('/proc/self/mountinfo', 'utf8'), readFileSync('/proc/self/cgroup', 'utf8'));
}

/**
 * @param mountInfo text of /proc/self/mountinfo
 * @param ownCgroups text of /proc/self/cgroup
 * @throws CgroupError NOT_MOUNTED
 */
export function readLayout(mountInfo: string, ownCgroups: string): CgroupLayout {
  const all = mountInfo
    .split('\n')
    .flatMap(parseMount)
    .filter(({ type }) => type === 'cgroup' || type === 'cgroup2');
  const isUsual = ({ mountPoint }: Mount): boolean => posix.join(mountPoint, '/').startsWith(`${MOUNT_POINT}/`);
  // A later mount covers an earlier one. Those at other places may be a chroot's, which come and go.
  const mounts = [...all.filter(isUsual).reverse(), ...all.filter((mount) => !isUsual(mount))];
  const version = mounts.some(({ type, mountPoint }) => type === 'cgroup2' && mountPoint === MOUNT_POINT) ? 2 : 1;
  const hierarchies = ownCgroups.split('\n').flatMap((line): Hierarchy[] => {
    // cgroups(7), "/proc files": hierarchy-ID:controller-list:cgroup-path
    const [, list, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (list === undefined || path === undefined) return [];
    const controllers = list.split(',').filter((name) => name !== '');
    const first = controllers[0];
    const mount = mounts.find(({ type, superOptions }) =>
      first === undefined ? type === 'cgroup2' : type === 'cgroup' && superOptions.includes(first),
    );
    // Of the other named trees only systemd's is shared with the rest of the system.
    const isPrivate = first?.startsWith('name=') === true && first !== 'name=systemd';
    if (mount === undefined || isPrivate || (version === 2 && first !== undefined)) return [];
    return [{ controllers, mountPoint: mount.mountPoint, own: ownFolder(mount, path) }];
  });
  if (!hierarchies.some(({ controllers }) => version === 2 || controllers.some((name) => !name.startsWith('name=')))) {
    const message = `no control groups are mounted on this host: mount them, with: mount -t cgroup2 cgroup2 ${MOUNT_POINT}`;
    throw new CgroupError('NOT_MOUNTED', message);
  }
  return { version, hierarchies };
}

/** proc_pid_mountinfo(5): fields 4 and 5 are root and mount point; behind " - " are type, source and super options. */
function parseMount(line: string): Mount[] {
  const [front = '', back = ''] = line.split(' - ');
  const [root, mountPoint] = front.split(' ').slice(3, 5).map(unescapePath);
  const [type = '', , superOptions = ''] = back.split(' ');
  if (root === undefined || mountPoint === undefined) return [];
  return [{ root, mountPoint, type, superOptions: superOptions.split(',') }];
}

/** Blanks and the like are written as "\040". */
function unescapePath(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** A mount may show a part of a tree only, and a process may be outside of what its namespace shows. */
function ownFolder({ root, mountPoint }: Mount, path: string): string {
  const inside = posix.relative(root, path);
  return inside.startsWith('..') ? mountPoint : posix.join(mountPoint, inside);
}
