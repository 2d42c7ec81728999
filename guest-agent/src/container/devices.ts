// /dev of a container.
import * as abi from '../linux/abi.gen.ts';
import { isErrno } from '../linux/call.ts';
import {
  changeMode,
  changeOwner,
  deviceNumber,
  makeNode,
  open,
  statusOfFd,
  symbolicLink,
  tryRemoveFile,
  typeOf,
  withFd,
} from '../linux/file.ts';
import { DEFAULT_DEVICES } from './config/device-rules.ts';
import type { ContainerPlan, DevicePlan } from './config/plan.ts';
import { bindHandle } from './mounts.ts';
import type { RootDirectory } from './root-path.ts';

const defaultDevices = (): DevicePlan[] =>
  DEFAULT_DEVICES.map(([path, major, minor]) => {
    return { path, type: abi.S_IFCHR, major, minor, mode: 0o666, uid: 0, gid: 0 };
  });

/** OCI runtime-spec 1.2, runtime-linux, "Dev symbolic links". */
const LINKS: readonly (readonly [target: string, path: string])[] = [
  ['/proc/self/fd', '/dev/fd'],
  ['/proc/self/fd/0', '/dev/stdin'],
  ['/proc/self/fd/1', '/dev/stdout'],
  ['/proc/self/fd/2', '/dev/stderr'],
];

const PTMX = '/dev/ptmx';

/** Makes the devices and links, unless /dev is bound from elsewhere and so not the container's to fill. */
export function makeDevices(root: RootDirectory, plan: ContainerPlan): void {
  if (plan.mounts.some(({ destination, type }) => cleanPath(destination) === '/dev' && type === 'bind')) return;
  const given = new Set(plan.devices.map(({ path }) => cleanPath(path)));
  const defaults = defaultDevices().filter(({ path }) => !given.has(path));
  for (const node of [...plan.devices, ...defaults]) {
    // It is always the link of below, as with runc.
    if (cleanPath(node.path) !== PTMX) makeDevice(root, node, plan.userNamespace !== undefined);
  }
  for (const [target, path] of LINKS) link(root, target, path);
  // An image may hold a node of the first devpts instance here, which is not the container's.
  root.inParent(PTMX, (parent, name) => tryRemoveFile(name, parent));
  link(root, 'pts/ptmx', PTMX);
}

/** Without doubled and trailing slashes. */
function cleanPath(path: string): string {
  return path.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');
}

function makeDevice(root: RootDirectory, node: DevicePlan, inUserNamespace: boolean): void {
  // user_namespaces(7): no device nodes there. A fifo is none.
  if (inUserNamespace && node.type !== abi.S_IFIFO) {
    bindDevice(root, node);
    return;
  }
  try {
    root.inParent(node.path, (parent, name) => makeDeviceNode(parent, name, node));
  } catch (error) {
    if (isErrno(error, abi.EPERM)) bindDevice(root, node);
    // What the image brings stays, as with runc.
    else if (!isErrno(error, abi.EEXIST)) throw error;
  }
}

function makeDeviceNode(parent: number, name: string, node: DevicePlan): void {
  makeNode(name, node.type | node.mode, deviceNumber(node.major, node.minor), parent);
  withFd(open(name, abi.O_PATH | abi.O_NOFOLLOW, 0, parent), (fd) => {
    // Somebody with the same volume may have put something else there since.
    requireSame(fd, node, node.path);
    changeOwner(fd, node.uid, node.gid, node.path);
    // Access control lists of the directory may have taken from the mode.
    changeMode(fd, node.mode, node.path);
  });
}

/** Binds the guest's own node of the same path: the only way where none can be made. Its owner and mode are the guest's. */
function bindDevice(root: RootDirectory, node: DevicePlan): void {
  withFd(open(node.path, abi.O_PATH | abi.O_NOFOLLOW), (source) => {
    requireSame(source, node, `${node.path} of the guest`);
    withFd(root.ensureOwnFile(node.path), (target) => bindHandle(root, source, target, node.path));
  });
}

function requireSame(fd: number, node: DevicePlan, subject: string): void {
  const { device: number, ...status } = statusOfFd(fd, subject);
  const isSame = node.type === abi.S_IFIFO || number === deviceNumber(node.major, node.minor);
  if (typeOf({ ...status, device: number }) !== node.type || !isSame) {
    throw new Error(`${subject} is not the device ${node.major}:${node.minor} of config.json`);
  }
}

/** Makes the container's terminal its /dev/console (OCI runtime-spec 1.2, config-linux, "Default Devices"). */
export function bindConsole(root: RootDirectory, terminal: number): void {
  withFd(root.ensureOwnFile('/dev/console'), (target) => bindHandle(root, terminal, target, '/dev/console'));
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
