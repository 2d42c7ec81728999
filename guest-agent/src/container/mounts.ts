// Mounts of config.json, onto a root that is not yet `/`.
import * as abi from '../linux/abi.gen.ts';
import { isDirectory, pathOfFd, statusOf, statusOfFd, withFd } from '../linux/file.ts';
import { mount, setMountAttributes } from '../linux/mount.ts';
import { type MountOptions, parseMountOptions } from './config/mount-options.ts';
import type { MountPlan } from './config/plan.ts';
import type { RootDirectory } from './root-path.ts';

/** What mounts need to know of their container. */
export interface MountContext {
  readonly root: RootDirectory;
  /** Path of the container's cgroup in the agent's view. */
  readonly cgroupPath: string;
  readonly hasCgroupNamespace: boolean;
}

/** Carries out one mount. @throws SystemError */
export function applyMount(context: MountContext, plan: MountPlan): void {
  const { root } = context;
  const options = parseMountOptions(plan.options);
  if (options.bind !== 'no' || plan.type === 'bind') {
    bind(root, plan.source, plan.destination, options);
  } else if (plan.type === 'cgroup' || plan.type === 'cgroup2') {
    mountCgroup(context, plan.destination, options);
  } else {
    // A link at /proc or /sys would put the kernel's files where something else is expected.
    const followLinks = plan.type !== 'proc' && plan.type !== 'sysfs';
    withFd(root.ensure(plan.destination, 'directory', { followLinks }), (target) => {
      const data = plan.type === 'tmpfs' ? tmpfsData(target, options.data) : options.data;
      // /dev must take the device nodes first: see finishMount.
      const flags = isDevice(plan) ? options.flags & ~abi.MS_RDONLY : options.flags;
      mount(plan.source, pathOfFd(target), plan.type, flags, data);
    });
  }
  withFd(root.handle(plan.destination), (target) => {
    const { set, clear } = options.recursiveAttributes;
    if (set !== 0 || clear !== 0) setMountAttributes(target, plan.destination, set, clear, true);
    for (const propagation of options.propagations) mount('', pathOfFd(target), '', propagation);
  });
}

/** Makes a read-only /dev so, once everything is in it. */
export function finishMount(context: MountContext, plan: MountPlan): void {
  if (!isDevice(plan) || (parseMountOptions(plan.options).flags & abi.MS_RDONLY) === 0) return;
  withFd(context.root.handle('/dev'), (fd) => setMountAttributes(fd, '/dev', abi.MOUNT_ATTR_RDONLY, 0));
}

function isDevice(plan: MountPlan): boolean {
  return plan.destination.replace(/\/+$/, '') === '/dev' && plan.type === 'tmpfs';
}

/** Binds a path of the guest. @param options attributes of the new mount */
export function bind(root: RootDirectory, source: string, destination: string, options: MountOptions): void {
  const kind = isDirectory(statusOf(source)) ? 'directory' : 'file';
  const recursive = options.bind === 'recursive' ? abi.MS_REC : 0;
  withFd(root.ensure(destination, kind), (target) => {
    mount(source, pathOfFd(target), '', abi.MS_BIND | recursive);
  });
  const { set, clear } = options.attributes;
  if (set === 0 && clear === 0) return;
  // The handle from above is below the new mount: only a new look at the path finds its root.
  withFd(root.handle(destination), (fd) => setMountAttributes(fd, destination, set, clear));
}

function mountCgroup(context: MountContext, destination: string, options: MountOptions): void {
  if (!context.hasCgroupNamespace) {
    // The tree of the whole guest is not the container's business.
    bind(context.root, context.cgroupPath, destination, { ...options, bind: 'recursive' });
    return;
  }
  withFd(context.root.ensure(destination, 'directory'), (target) => {
    mount('cgroup', pathOfFd(target), 'cgroup2', options.flags);
  });
}

/** A tmpfs takes the mode of the directory that it covers, unless it is given one. */
function tmpfsData(target: number, data: string): string {
  if (/(^|,)mode=/.test(data)) return data;
  const mode = (statusOfFd(target, 'tmpfs').mode & 0o7777).toString(8);
  return data === '' ? `mode=${mode}` : `${data},mode=${mode}`;
}
