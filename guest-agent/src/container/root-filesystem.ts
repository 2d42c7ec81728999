// The container's root: everything in it is put in place first, then it becomes `/` and the guest's own root is gone.
import * as abi from '../linux/abi.gen.ts';
import { isErrno } from '../linux/call.ts';
import { close, isDirectory, open, pathOfFd, statusOfFd, withFd } from '../linux/file.ts';
import { changeDirectory, changeDirectoryToFd, mount, pivotRoot, setMountAttributes, unmount } from '../linux/mount.ts';
import type { ContainerPlan } from './config/plan.ts';
import { makeDevices } from './devices.ts';
import { applyMount, finishMount, type MountContext } from './mounts.ts';
import { RootDirectory } from './root-path.ts';

/**
 * Mounts the root file system and all that belongs into it. Everything is reached through the root's handle and the
 * agent's own /proc, so that nothing in the image is trusted.
 * @param beforeReadonly runs when all mounts stand and the root can still be written to
 */
export function buildRoot(
  rootPath: string,
  plan: ContainerPlan,
  cgroupPath: string,
  beforeReadonly: (root: RootDirectory) => void,
): RootDirectory {
  mount('', '/', '', plan.rootPropagation);
  mount(rootPath, rootPath, '', abi.MS_BIND | abi.MS_REC);
  const root = new RootDirectory(rootPath);
  const context: MountContext = { root, cgroupPath, hasCgroupNamespace: plan.namespaces.has('cgroup') };
  for (const entry of plan.mounts) applyMount(context, entry);
  makeDevices(root, plan);
  // runc makes a missing working directory; images rely on it.
  close(root.ensure(plan.process.cwd, 'directory'));
  beforeReadonly(root);
  for (const entry of plan.mounts) finishMount(context, entry);
  for (const path of plan.readonlyPaths) makeReadonly(root, path);
  for (const path of plan.maskedPaths) mask(root, path);
  if (plan.readonlyRoot) setMountAttributes(root.fd, '/', abi.MOUNT_ATTR_RDONLY, 0);
  return root;
}

function makeReadonly(root: RootDirectory, path: string): void {
  root.withExisting(path, (fd) => mount(pathOfFd(fd), pathOfFd(fd), '', abi.MS_BIND | abi.MS_REC));
  root.withExisting(path, (fd) => setMountAttributes(fd, path, abi.MOUNT_ATTR_RDONLY, 0));
}

/** Covers a file with the guest's /dev/null, a directory with an empty tmpfs. */
function mask(root: RootDirectory, path: string): void {
  root.withExisting(path, (fd) => {
    if (isDirectory(statusOfFd(fd, path))) mount('', pathOfFd(fd), 'tmpfs', abi.MS_RDONLY);
    else mount('/dev/null', pathOfFd(fd), '', abi.MS_BIND);
  });
}

/** Makes the root `/` and drops the old one. (pivot_root(2), "pivot_root(".", ".")") */
export function enterRoot(root: RootDirectory): void {
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
  close(root.fd);
}
