// Mounts of config.json, onto a root that is not yet `/`. Each is made detached, readied, and attached to a handle: what a
// neighbour with the same volume exchanges meanwhile changes neither what is mounted nor where.
import { messageOf } from '../../../src/lib/errors.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import * as abi from '../linux/abi.gen.ts';
import { isErrno, SystemError } from '../linux/call.ts';
import { close, fileSystemMagic, isDirectory, pathOfFd, statusOfFd, withFd } from '../linux/file.ts';
import { attachMount, copyMount, mount, newMount, setMountAttributes, setPropagation } from '../linux/mount.ts';
import { codeOf } from './channel.ts';
import { type MountOptions, parseMountOptions } from './config/mount-options.ts';
import type { MountPlan } from './config/plan.ts';
import { copyUp } from './copy-up.ts';
import type { RootDirectory } from './root-path.ts';

/** What mounts need to know of their container. */
export interface MountContext {
  readonly root: RootDirectory;
  /** Path of the container's cgroup in the agent's view. */
  readonly cgroupPath: string;
  readonly hasCgroupNamespace: boolean;
  /** MS_* of mounts that ask for no propagation of their own; 0 to leave it as it comes. */
  readonly propagation: number;
  /** Open mounts that are to be read-only once everything is in them: see finishMounts. */
  readonly unfinished: number[];
}

/**
 * Carries out one mount.
 * @param prepared what to bind, where the agent made that (mount-sources.ts); closed here
 * @throws StatusError with runc's words
 */
export function applyMount(context: MountContext, plan: MountPlan, prepared: number | undefined): void {
  try {
    const options = parseMountOptions(plan.options);
    if ((options.flags & abi.MS_REMOUNT) !== 0) remount(context, plan, options);
    else if (plan.type === 'bind') bind(context, plan, options, prepared ?? copySource(plan, options));
    else if (plan.type === 'cgroup' || plan.type === 'cgroup2') mountCgroup(context, plan, options);
    else if (plan.type === 'proc' || plan.type === 'sysfs') mountKernelFiles(context, plan, options);
    else if (plan.type === 'tmpfs') mountTmpfs(context, plan, options);
    else
      withFd(context.root.ensure(plan.destination, 'directory'), (target) => mountNew(context, plan, options, target));
  } catch (cause) {
    const what = `error mounting "${plan.source}" to rootfs at "${plan.destination}"`;
    throw new StatusError(codeOf(cause), `${what}: ${messageOf(cause)}`, { path: plan.destination }, { cause });
  }
}

/** Makes those mounts read-only that were to be so: nothing more has to be put into them. */
export function finishMounts({ unfinished }: MountContext): void {
  for (const fd of unfinished.splice(0)) withFd(fd, () => setMountAttributes(fd, 'tmpfs', abi.MOUNT_ATTR_RDONLY, 0));
}

function copySource({ source }: MountPlan, options: MountOptions): number {
  return copyMount(abi.AT_FDCWD, source, source, options.bind === 'recursive');
}

/** @param tree detached; closed here */
function bind(context: MountContext, plan: MountPlan, options: MountOptions, tree: number): void {
  withFd(tree, () => {
    const { set, clear } = options.attributes;
    // What is not named stays as the source has it, as with mount(8): nosuid and the like are not lost by a bind mount.
    if (set !== 0 || clear !== 0) setMountAttributes(tree, plan.source, set, clear);
    const kind = isDirectory(statusOfFd(tree, plan.source)) ? 'directory' : 'file';
    withFd(context.root.ensure(plan.destination, kind), (target) => attach(context, plan, options, tree, target));
  });
}

/** The last steps of every mount. `mount` is its open root. */
function attach(context: MountContext, plan: MountPlan, options: MountOptions, mount: number, target: number): void {
  requireFree(context.root, target, mount, plan);
  // move_mount(2) would say EINVAL, and callers know what mount(2) says.
  if (isDirectory(statusOfFd(mount, plan.source)) !== isDirectory(statusOfFd(target, plan.destination))) {
    throw new SystemError('mount', plan.destination, abi.ENOTDIR);
  }
  const { set, clear } = options.recursiveAttributes;
  if (set !== 0 || clear !== 0) setMountAttributes(mount, plan.destination, set, clear, true);
  attachMount(mount, target, plan.destination);
  // Now: a mount that comes into a shared one becomes shared by that.
  const inherited = context.propagation === 0 ? [] : [context.propagation];
  const propagations = options.propagations.length > 0 ? options.propagations : inherited;
  for (const propagation of propagations) setPropagation(mount, plan.destination, propagation);
}

/** What a new mount is given besides what its plan says. */
interface Making {
  /** Options of the file system in place of the plan's. */
  readonly data?: string;
  /** Puts into the mount what it begins with. */
  readonly fill?: (mount: number) => void;
}

function mountNew(
  context: MountContext,
  plan: MountPlan,
  options: MountOptions,
  target: number,
  { data = options.data, fill }: Making = {},
): void {
  const { type, source } = plan;
  let { flags } = options;
  let attributes = options.attributes.set;
  // Device nodes, working directories and mount points may have to come into it first.
  const isLate = (flags & abi.MS_RDONLY) !== 0 && (type === 'tmpfs' || context.root.pathOf(target) === '/dev');
  if (isLate) {
    flags &= ~abi.MS_RDONLY;
    attributes &= ~abi.MOUNT_ATTR_RDONLY;
  }
  const mount = newMount({ type, source, flags, data, attributes });
  fill?.(mount);
  attach(context, plan, options, mount, target);
  if (isLate) context.unfinished.push(mount);
  else close(mount);
}

/** A tmpfs takes the mode of the directory that it covers, unless it is given one; and with `tmpcopyup` its content. */
function mountTmpfs(context: MountContext, plan: MountPlan, options: MountOptions): void {
  const covered = context.root.find(plan.destination);
  if (covered === undefined) {
    withFd(context.root.ensure(plan.destination, 'directory'), (target) => mountNew(context, plan, options, target));
    return;
  }
  withFd(covered, (target) => {
    const mode = `mode=${(statusOfFd(target, plan.destination).mode & abi.ALLPERMS).toString(8)}`;
    const data = options.data === '' ? mode : `${mode},${options.data}`;
    const fill = (mount: number): void => copyUp(target, mount, data, plan.destination);
    mountNew(context, plan, options, target, options.copyUp ? { data, fill } : { data });
  });
}

/** proc and sysfs: a link in their place would put the kernel's files where something else is expected. */
function mountKernelFiles(context: MountContext, plan: MountPlan, options: MountOptions): void {
  let target: number;
  try {
    target = context.root.ensure(plan.destination, 'directory', { followLinks: false });
  } catch (cause) {
    if (!isErrno(cause, abi.ELOOP)) throw cause;
    throw notOrdinary(plan, messageOf(cause), cause);
  }
  withFd(target, () => {
    if (!isDirectory(statusOfFd(target, plan.destination))) throw notOrdinary(plan, 'there is something else');
    try {
      mountNew(context, plan, options, target);
    } catch (error) {
      // Who does not own the network namespace may not make a sysfs of it: then it is the guest's, as it is seen from here.
      if (plan.type !== 'sysfs' || !isErrno(error, abi.EPERM)) throw error;
      withFd(copyMount(abi.AT_FDCWD, '/sys', '/sys', true), (tree) => {
        setMountAttributes(tree, '/sys', options.attributes.set & ~abi.MOUNT_ATTR__ATIME, 0, true);
        attach(context, plan, options, tree, target);
      });
    }
  });
}

function notOrdinary(plan: MountPlan, why: string, cause?: unknown): Error {
  return new Error(`filesystem "${plan.type}" must be mounted on ordinary directory: ${why}`, { cause });
}

function mountCgroup(context: MountContext, plan: MountPlan, options: MountOptions): void {
  // The tree of the whole guest is not the container's business.
  const bindOwn = (): void => {
    const own = { ...plan, source: context.cgroupPath };
    bind(context, own, options, copySource(own, options));
  };
  if (!context.hasCgroupNamespace) {
    bindOwn();
    return;
  }
  withFd(context.root.ensure(plan.destination, 'directory'), (target) => {
    try {
      mountNew(context, { ...plan, type: 'cgroup2' }, options, target);
    } catch (error) {
      // In a user namespace that does not own the cgroup namespace.
      if (!isErrno(error, abi.EPERM, abi.EBUSY)) throw error;
      bindOwn();
    }
  });
}

/** `remount`: changes what is mounted already. With `bind` the mount alone, else its file system too. (mount(2), MS_REMOUNT) */
function remount(context: MountContext, plan: MountPlan, options: MountOptions): void {
  withFd(context.root.handle(plan.destination), (target) => {
    requireFree(context.root, target, target, plan);
    const { attributes, recursiveAttributes, flags, data } = options;
    if (plan.type !== 'bind') mount(plan.source, pathOfFd(target), plan.type, flags, data);
    else setMountAttributes(target, plan.destination, attributes.set, attributes.clear);
    setMountAttributes(target, plan.destination, recursiveAttributes.set, recursiveAttributes.clear, true);
    for (const propagation of options.propagations) setPropagation(target, plan.destination, propagation);
  });
}

/** Files of procfs that others emulate for containers, lxcfs for one: the same that runc knows. */
const PROC_DESTINATIONS: readonly string[] = [
  '/proc/cpuinfo',
  '/proc/diskstats',
  '/proc/meminfo',
  '/proc/stat',
  '/proc/swaps',
  '/proc/uptime',
  '/proc/loadavg',
  '/proc/slabinfo',
  '/proc/net/dev',
  '/proc/sys/kernel/ns_last_pid',
  '/proc/sys/crypto/fips_enabled',
];

/** The root directory of every procfs (PROC_ROOT_INO in include/linux/proc_ns.h). */
const PROC_ROOT_INODE = '1';

/**
 * What the agent and the container's programs trust to be the kernel's must not be covered: whoever controls /proc controls
 * what is written to and read from there. @throws Error in runc's words
 */
function requireFree(root: RootDirectory, target: number, mount: number, plan: MountPlan): void {
  const path = root.pathOf(target);
  if (path === '/') throw new Error(`mountpoint "${plan.destination}" is on the top of rootfs`);
  if (path === '/proc' && !isProcRoot(mount)) {
    throw new Error(`"${path}" cannot be mounted because it is not of type proc`);
  }
  if (path.startsWith('/proc/') && !PROC_DESTINATIONS.includes(path)) {
    throw new Error(`"${path}" cannot be mounted because it is inside /proc`);
  }
}

function isProcRoot(fd: number): boolean {
  if (fileSystemMagic(fd, '/proc') !== abi.PROC_SUPER_MAGIC) return false;
  return statusOfFd(fd, '/proc').identity.endsWith(`:${PROC_ROOT_INODE}`);
}

/** For what is no entry of config.json's mounts: binds an open file or directory. @param source open, of this process's mounts */
export function bindHandle(root: RootDirectory, source: number, target: number, destination: string): void {
  const path = root.pathOf(target);
  if (path === '/' || path.startsWith('/proc/'))
    throw new Error(`"${path}" cannot be mounted: it is not for ${destination}`);
  withFd(copyMount(source, '', destination, false), (tree) => attachMount(tree, target, destination));
}
