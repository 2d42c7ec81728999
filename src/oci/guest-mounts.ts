// Mounts of config.json as the guest needs them (OCI runtime-spec 1.2, config, "Mounts").
import { ConfigError } from './check.ts';
import type { Mount } from './config.ts';
import type { HostShare } from './guest-config.ts';

/** File systems that the guest's kernel makes by itself: their sources are mere names. */
const GUEST_FILESYSTEMS = [
  'proc',
  'sysfs',
  'tmpfs',
  'devpts',
  'mqueue',
  'cgroup',
  'cgroup2',
  'ramfs',
  'securityfs',
  'hugetlbfs',
  'bpf',
  'debugfs',
  'tracefs',
];

/** config.md, "Mounts": bind mounts are recognised by their options; runc takes the type `bind` as well. */
function isBind(mount: Pick<Mount, 'type' | 'options'>): boolean {
  return mount.type === 'bind' || (mount.options ?? []).some((option) => option === 'bind' || option === 'rbind');
}

/** Whether a mount is one of those that need nothing but the guest: of its kernel's own file systems, or of what it has. */
export function isGuestFilesystem(mount: Pick<Mount, 'type' | 'options'>): boolean {
  return isBind(mount) || (mount.options ?? []).includes('remount') || GUEST_FILESYSTEMS.includes(mount.type ?? '');
}

/**
 * Whether a path of the host is a view of its kernel. The container has another kernel, whose own view is at the same
 * place; and what the host's says is no business of a guest. Files in /dev/shm are files like any.
 */
function isKernelPath(path: string): boolean {
  const [first, top, second, third] = path.replace(/\/+/g, '/').replace(/\/$/, '').split('/');
  if (first !== '' || path.split('/').includes('..')) return false;
  return top === 'proc' || top === 'sys' || (top === 'dev' && (second !== 'shm' || third === undefined));
}

/** Whether a mount shows a path of the host. */
export function isOfHost(mount: Pick<Mount, 'type' | 'options' | 'source'>): boolean {
  return !(mount.options ?? []).includes('remount') && isBind(mount) && !isKernelPath(mount.source ?? '');
}

export interface GuestMounts {
  readonly mounts: readonly Mount[];
  readonly shares: readonly HostShare[];
}

/**
 * Exchanges the host's paths for those at which the guest sees the same.
 * @param sharedPath where the guest sees the shared folder
 * @param isGuestDevice whether a source is a device of the guest: a disk that the host has attached
 * @throws ConfigError for what a container in a VM cannot have
 */
export function mountsForGuest(
  mounts: readonly Mount[],
  containerId: string,
  sharedPath: string,
  isGuestDevice: (source: string) => boolean = () => false,
): GuestMounts {
  const shares: HostShare[] = [];
  const forGuest = (mount: Mount, index: number): Mount => {
    const { type = '', source = '', options } = mount;
    // It changes what the guest has mounted already.
    if ((options ?? []).includes('remount')) return mount;
    if (isBind(mount)) {
      if (source === '') {
        throw new ConfigError(`mounts[${index}].source`, mount.source, 'the path of what is to be bound');
      }
      if (isKernelPath(source)) return mount;
      const target = `${containerId}/mounts/${shares.length}`;
      shares.push({ source, target, recursive: (options ?? []).includes('rbind') });
      return { ...mount, source: `${sharedPath}/${target}` };
    }
    if (!GUEST_FILESYSTEMS.includes(type) && !isGuestDevice(source)) {
      const allowed = `a bind mount or one of ${GUEST_FILESYSTEMS.join(', ')}: the container runs on a kernel of its own`;
      throw new ConfigError(`mounts[${index}].type`, mount.type, allowed);
    }
    return mount;
  };
  return { mounts: mounts.map(forGuest), shares };
}
