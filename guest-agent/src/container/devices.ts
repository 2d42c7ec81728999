// /dev of a container.
import * as abi from '../linux/abi.gen.ts';
import { isErrno } from '../linux/call.ts';
import { changeOwner, deviceNumber, makeNode, symbolicLink, tryRemoveFile } from '../linux/file.ts';
import { parseMountOptions } from './config/mount-options.ts';
import type { ContainerPlan, DevicePlan } from './config/plan.ts';
import type { RootDirectory } from './root-path.ts';

const device = (path: string, major: number, minor: number): DevicePlan => ({
  path,
  type: abi.S_IFCHR,
  major,
  minor,
  mode: 0o666,
  uid: 0,
  gid: 0,
});

/** OCI runtime-spec 1.2, config-linux, "Default Devices". Numbers: Documentation/admin-guide/devices.txt. */
const DEFAULT_DEVICES: readonly DevicePlan[] = [
  device('/dev/null', 1, 3),
  device('/dev/zero', 1, 5),
  device('/dev/full', 1, 7),
  device('/dev/random', 1, 8),
  device('/dev/urandom', 1, 9),
  device('/dev/tty', 5, 0),
];

/** OCI runtime-spec 1.2, runtime-linux, "Dev symbolic links"; and /dev/ptmx as in "Default Devices". */
const LINKS: readonly (readonly [target: string, path: string])[] = [
  ['/proc/self/fd', '/dev/fd'],
  ['/proc/self/fd/0', '/dev/stdin'],
  ['/proc/self/fd/1', '/dev/stdout'],
  ['/proc/self/fd/2', '/dev/stderr'],
];

/** Makes the devices and links, unless /dev is bound from elsewhere and so not the container's to fill. */
export function makeDevices(root: RootDirectory, plan: ContainerPlan): void {
  const isBound = plan.mounts.some(
    (mount) =>
      mount.destination.replace(/\/+$/, '') === '/dev' &&
      (mount.type === 'bind' || parseMountOptions(mount.options).bind !== 'no'),
  );
  if (isBound) return;
  for (const node of [...plan.devices, ...DEFAULT_DEVICES]) makeDevice(root, node);
  for (const [target, path] of LINKS) link(root, target, path);
  root.inParent('/dev/ptmx', (parent, name) => {
    // An image may hold a node of the first devpts instance here, which is not the container's.
    tryRemoveFile(name, parent);
    symbolicLink('pts/ptmx', name, parent);
  });
}

function makeDevice(root: RootDirectory, node: DevicePlan): void {
  root.inParent(node.path, (parent, name) => {
    try {
      makeNode(name, node.type | node.mode, deviceNumber(node.major, node.minor), parent);
      changeOwner(name, node.uid, node.gid, parent);
    } catch (error) {
      // What the image brings stays; the config's devices come first, so they win over the default ones.
      if (!isErrno(error, abi.EEXIST)) throw error;
    }
  });
}

function link(root: RootDirectory, target: string, path: string): void {
  root.inParent(path, (parent, name) => {
    try {
      symbolicLink(target, name, parent);
    } catch (error) {
      if (!isErrno(error, abi.EEXIST)) throw error;
    }
  });
}
