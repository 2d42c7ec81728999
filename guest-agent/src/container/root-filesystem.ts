// The container's root: everything in it is put in place first, then it becomes `/` and the guest's own root is gone.
import * as abi from '../linux/abi.gen.ts';
import { isErrno } from '../linux/call.ts';
import { close, isDirectory, isNullDevice, open, realPathOf, statusOfFd, withFd } from '../linux/file.ts';
import {
  attachMount,
  changeDirectory,
  changeDirectoryToFd,
  copyMount,
  makeParentPrivate,
  mount,
  newMount,
  pivotRoot,
  setMountAttributes,
  setPropagation,
  unmount,
} from '../linux/mount.ts';
import type { ContainerPlan } from './config/plan.ts';
import { makeDevices } from './devices.ts';
import type { MountSources } from './mount-sources.ts';
import { applyMount, finishMounts, type MountContext } from './mounts.ts';
import { RootDirectory } from './root-path.ts';

/**
 * Mounts the root file system and all that belongs into it. Everything is reached through the root's handle and the
 * agent's own /proc, so that nothing in the image is trusted.
 * @param place the root file system's folder, open
 * @param sources mounts that the agent has made for this process
 * @param beforeReadonly runs when all mounts stand and the root can still be written to
 */
export function buildRoot(
  place: number,
  plan: ContainerPlan,
  cgroupPath: string,
  sources: MountSources,
  beforeReadonly: (root: RootDirectory) => void,
): RootDirectory {
  const root = mountRoot(place, plan.rootPropagation);
  const context: MountContext = {
    root,
    cgroupPath,
    hasCgroupNamespace: plan.namespaces.has('cgroup'),
    propagation: innerPropagation(plan.rootPropagation),
    unfinished: [],
  };
  for (const [index, entry] of plan.mounts.entries()) applyMount(context, entry, sources.get(index));
  makeDevices(root, plan);
  // runc makes a missing working directory; images rely on it.
  close(root.ensure(plan.process.cwd, 'directory'));
  beforeReadonly(root);
  finishMounts(context);
  for (const path of plan.readonlyPaths) makeReadonly(root, path);
  maskPaths(root, plan.maskedPaths);
  if (plan.readonlyRoot) setMountAttributes(root.fd, '/', abi.MOUNT_ATTR_RDONLY, 0);
  return root;
}

/** Nothing of the container's mounts reaches the guest, and what the guest mounts later reaches the container. */
const DEFAULT_PROPAGATION = abi.MS_SLAVE | abi.MS_REC;

/** Makes the root file system a mount of its own, at its place. (OCI runtime-spec 1.2, config-linux, "Rootfs Mount Propagation") */
function mountRoot(place: number, propagation: number): RootDirectory {
  const path = realPathOf(place);
  const flags = propagation === 0 ? DEFAULT_PROPAGATION : propagation;
  const isUnbindable = (flags & abi.MS_UNBINDABLE) !== 0;
  // What cannot be bound could not become the container's root either: until then it is private.
  mount('', '/', '', isUnbindable ? (flags & ~abi.MS_UNBINDABLE) | abi.MS_PRIVATE : flags);
  const tree = copyMount(place, '', path, true);
  const inner = innerPropagation(propagation);
  if (inner !== 0) setPropagation(tree, path, inner);
  // pivot_root(2): neither the new root nor the mount that it is on may be shared. It becomes so in enterRoot.
  setPropagation(tree, path, (flags & abi.MS_SLAVE) !== 0 ? abi.MS_SLAVE : abi.MS_PRIVATE);
  if (propagation !== 0) makeParentPrivate(path);
  attachMount(tree, place, path);
  return new RootDirectory(tree);
}

/** What mounts in the root get at once. What is unbindable becomes so in enterRoot: parts of it have to be bound before. */
function innerPropagation(propagation: number): number {
  return (propagation & abi.MS_REC) !== 0 && (propagation & abi.MS_UNBINDABLE) === 0 ? propagation : 0;
}

function makeReadonly(root: RootDirectory, path: string): void {
  root.withExisting(path, (target) => {
    withFd(copyMount(target, '', path, true), (tree) => {
      setMountAttributes(tree, path, abi.MOUNT_ATTR_RDONLY, 0);
      attachMount(tree, target, path);
    });
  });
}

/** Covers files with the guest's /dev/null, directories with one empty tmpfs. */
function maskPaths(root: RootDirectory, paths: readonly string[]): void {
  if (paths.length === 0) return;
  withFd(open('/dev/null', abi.O_PATH | abi.O_NOFOLLOW), (nullFd) => {
    if (!isNullDevice(nullFd)) throw new Error('/dev/null of the guest is no null device: nothing can be masked by it');
    let empty: number | undefined;
    for (const path of paths) {
      root.withExisting(path, (target) => {
        const isFile = !isDirectory(statusOfFd(target, path));
        const mask = isFile
          ? copyMount(nullFd, '', path, false)
          : empty === undefined
            ? newMount(EMPTY)
            : copyMount(empty, '', path, false);
        attachMount(mask, target, path);
        if (isFile || empty !== undefined) close(mask);
        else empty = mask;
      });
    }
    if (empty !== undefined) close(empty);
  });
}

const EMPTY = {
  type: 'tmpfs',
  source: 'tmpfs',
  flags: abi.MS_RDONLY,
  data: 'nr_blocks=1,nr_inodes=1',
  attributes: abi.MOUNT_ATTR_RDONLY,
};

/**
 * Makes the root `/` and drops the old one. (pivot_root(2), "pivot_root(".", ".")")
 * @param propagation linux.rootfsPropagation; 0 leaves the root as it is
 */
export function enterRoot(root: RootDirectory, propagation: number): void {
  withFd(open('/', abi.O_RDONLY | abi.O_DIRECTORY), (oldRoot) => {
    changeDirectoryToFd(root.fd, "the container's root");
    try {
      pivotRoot('.', '.');
    } catch (error) {
      if (!isErrno(error, abi.EINVAL)) throw error;
      throw new Error("the guest's root cannot be pivoted: the agent must not run from the initramfs itself", {
        cause: error,
      });
    }
    changeDirectoryToFd(oldRoot, "the guest's root");
    // Unmounting must not reach the guest's own mounts.
    mount('', '.', '', abi.MS_SLAVE | abi.MS_REC);
    unmount('.', abi.MNT_DETACH);
  });
  changeDirectory('/');
  // The mounts in it have what they asked for, or this already.
  const flags = innerPropagation(propagation) === 0 ? propagation : propagation & ~abi.MS_REC;
  if (flags !== 0) setPropagation(root.fd, '/', flags);
  close(root.fd);
}
