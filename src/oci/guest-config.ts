// config.json as the guest needs it: what names the host's files is exchanged for what the guest sees in their place.
import { ConfigError } from './check.ts';
import type { Config, Hooks, LinuxConfig, Mount, Namespace, NamespaceType } from './config.ts';
import { hooksForGuest } from './guest-hooks.ts';
import { mountsForGuest } from './guest-mounts.ts';
import { resourcesForGuest } from './resources.ts';
import { isNoSeccomp } from './seccomp/check.ts';
import { compileSeccomp, type SeccompFilter } from './seccomp/compile.ts';

/** A path of the host that the guest must see. */
export interface HostShare {
  /** Absolute, or relative to the bundle. */
  readonly source: string;
  /** Where it appears, relative to the folder that is shared with the guest. */
  readonly target: string;
  /** With the mounts below it (`rbind`). */
  readonly recursive: boolean;
}

/** Where a container's root file system appears, relative to the folder that is shared with the guest. */
export function rootfsTarget(containerId: string): string {
  return `${containerId}/rootfs`;
}

/** The share that is a container's root file system. @param rootfs absolute path */
export function rootfsShare(containerId: string, rootfs: string): HostShare {
  return { source: rootfs, target: rootfsTarget(containerId), recursive: true };
}

/** All paths of the host that the guest must see for a container, but its root file system. @throws ConfigError */
export function hostShares({ mounts, hooks }: Pick<Config, 'mounts' | 'hooks'>, containerId: string): HostShare[] {
  // What mounts a disk is none of them, whether the guest has that disk or not.
  const shares = mountsForGuest(mounts ?? [], containerId, '', () => true).shares;
  return [...shares, ...hooksForGuest(hooks, containerId, '').shares];
}

export interface GuestPlan {
  readonly config: Config;
  readonly shares: readonly HostShare[];
  /** What stands for linux.seccomp, which `config` has no more. */
  readonly seccomp: SeccompFilter | undefined;
}

/** By type, the path in the guest of a namespace that others have already; empty for the VM's own. */
export type SharedNamespaces = Readonly<Partial<Record<NamespaceType, string>>>;

/** Names in /proc/PID/ns that are not those of the types. */
const PROC_NAMES: Readonly<Partial<Record<NamespaceType, string>>> = { network: 'net', mount: 'mnt' };

/** Where a kernel shows the namespace of a process. */
export function namespacePath(type: NamespaceType, pid: number | 'self'): string {
  return `/proc/${pid}/ns/${PROC_NAMES[type] ?? type}`;
}

/**
 * Exchanges the paths of the host for the guest's.
 * @param sharedPath where the guest sees the shared folder
 * @param shared what of the namespaces with a path the guest has already; for the others it makes new ones
 * @param isDisk whether the source of a mount is a disk of the guest
 * @throws ConfigError for what a container in a VM cannot have
 */
export function planForGuest(
  config: Config,
  containerId: string,
  sharedPath: string,
  shared: SharedNamespaces = {},
  isDisk?: (source: string) => boolean,
): GuestPlan {
  const { mounts, shares } = mountsForGuest(config.mounts ?? [], containerId, sharedPath, isDisk);
  const { config: unfiltered, seccomp } = takeSeccomp(config);
  const hooks = hooksForGuest(config.hooks, containerId, sharedPath);
  return {
    config: guestConfig(unfiltered, containerId, shared, { mounts, hooks: hooks.hooks }),
    shares: [...shares, ...hooks.shares],
    seccomp,
  };
}

function guestConfig(
  config: Config,
  containerId: string,
  shared: SharedNamespaces,
  guest: { readonly mounts: readonly Mount[]; readonly hooks: Hooks },
): Config {
  const { linux } = config;
  // Some write null for what is not there.
  if (!linux) return { ...config, ...guest };
  // They belong to the namespace, and the VM's own has none.
  const { uidMappings, gidMappings, ...withoutMappings } = linux;
  return {
    ...config,
    ...guest,
    linux: {
      ...(shared.user === '' ? withoutMappings : linux),
      ...(linux.resources ? { resources: resourcesForGuest(linux.resources) } : {}),
      ...(linux.namespaces ? { namespaces: guestNamespaces(linux, linux.namespaces, shared) } : {}),
      // The caller's path, and systemd's form of it, belong to the host's hierarchy.
      cgroupsPath: `/${containerId}`,
    },
  };
}

/** Compiles linux.seccomp and takes it out: the filter goes to the guest beside the configuration. @throws ConfigError */
export function takeSeccomp(config: Config): Pick<GuestPlan, 'config' | 'seccomp'> {
  if (!config.linux) return { config, seccomp: undefined };
  const { seccomp, ...linux } = config.linux;
  const isNone = seccomp === undefined || isNoSeccomp(seccomp);
  return { config: { ...config, linux }, seccomp: isNone ? undefined : compileSeccomp(seccomp) };
}

/** Without a path a namespace is new in the guest: one of the host that the container would join has none like it there. */
function guestNamespaces(linux: LinuxConfig, namespaces: readonly Namespace[], shared: SharedNamespaces): Namespace[] {
  const found = namespaces.findIndex(({ type, path }) => type === 'user' && path !== undefined && path !== '');
  const isMapped = (linux.uidMappings ?? []).length > 0 && (linux.gidMappings ?? []).length > 0;
  if (found >= 0 && !isMapped && shared.user === undefined) {
    const allowed =
      "a new user namespace, or linux.uidMappings and linux.gidMappings beside the host's: the guest makes one";
    throw new ConfigError(`linux.namespaces[${found}].path`, namespaces[found]?.path, allowed);
  }
  // The VM has the network that the container would have, and so stands for its network namespace, new or joined.
  return namespaces
    .filter(({ type }) => type !== 'network' && shared[type] !== '')
    .map(({ type }) => ({ type, ...(shared[type] === undefined ? {} : { path: shared[type] }) }));
}
