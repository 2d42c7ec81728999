// The types of config.json (OCI runtime-spec 1.2, config.md and config-linux.md), as far as this project reads them.
// What it does not read it hands on: properties that are not named here stay in the object.
import type { HostResources } from './resources.ts';
import type { LinuxSeccomp } from './seccomp/names.ts';

export interface Config {
  readonly ociVersion: string;
  readonly root: Root;
  readonly process: Process;
  readonly hostname?: string;
  readonly domainname?: string;
  readonly mounts?: readonly Mount[];
  readonly hooks?: Hooks;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly linux?: LinuxConfig;
}

export interface Root {
  /** Absolute, or relative to the bundle. */
  readonly path: string;
  readonly readonly?: boolean;
}

export interface Process {
  readonly terminal?: boolean;
  /** Size of the terminal in character cells. */
  readonly consoleSize?: { readonly height: number; readonly width: number };
  readonly cwd: string;
  readonly env?: readonly string[];
  readonly args: readonly string[];
  readonly user?: { readonly uid: number; readonly gid: number; readonly additionalGids?: readonly number[] };
  readonly rlimits?: readonly Rlimit[];
  readonly capabilities?: Readonly<Record<CapabilitySet, readonly string[]>>;
  readonly noNewPrivileges?: boolean;
  readonly oomScoreAdj?: number;
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
}

export type CapabilitySet = 'bounding' | 'effective' | 'inheritable' | 'permitted' | 'ambient';

export interface Rlimit {
  readonly type: string;
  readonly soft: number;
  readonly hard: number;
}

export interface Mount {
  readonly destination: string;
  readonly type?: string;
  /** A device name, a file system's own name, or for bind mounts a path: absolute, or relative to the bundle. */
  readonly source?: string;
  readonly options?: readonly string[];
}

/** The points in a container's life at which hooks run (config.md, "POSIX-platform Hooks"). */
export const HOOK_POINTS = [
  'prestart',
  'createRuntime',
  'createContainer',
  'startContainer',
  'poststart',
  'poststop',
] as const;
export type HookPoint = (typeof HOOK_POINTS)[number];
export type Hooks = Readonly<Partial<Record<HookPoint, readonly Hook[]>>>;

export interface Hook {
  readonly path: string;
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  /** Seconds until the hook is aborted. */
  readonly timeout?: number;
}

export const NAMESPACE_TYPES = ['pid', 'network', 'mount', 'ipc', 'uts', 'user', 'cgroup', 'time'] as const;
export type NamespaceType = (typeof NAMESPACE_TYPES)[number];

export interface Namespace {
  readonly type: NamespaceType;
  readonly path?: string;
}

export interface IdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

/** config-linux.md, "Devices" */
export interface Device {
  /** Character (also `u`, unbuffered), block, or fifo. */
  readonly type: 'c' | 'u' | 'b' | 'p';
  readonly path: string;
  readonly major?: number;
  readonly minor?: number;
  readonly fileMode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

/** config-linux.md, "Allowed Device list" */
export interface DeviceRule {
  readonly allow: boolean;
  readonly type?: string;
  /** -1 stands for all. */
  readonly major?: number;
  readonly minor?: number;
  readonly access?: string;
}

export interface LinuxConfig {
  readonly namespaces?: readonly Namespace[];
  readonly uidMappings?: readonly IdMapping[];
  readonly gidMappings?: readonly IdMapping[];
  /** What clocks of the container are ahead. */
  readonly timeOffsets?: Readonly<Partial<Record<'monotonic' | 'boottime', { secs?: number; nanosecs?: number }>>>;
  readonly cgroupsPath?: string;
  readonly rootfsPropagation?: string;
  readonly devices?: readonly Device[];
  readonly resources?: HostResources & Readonly<Record<string, unknown>> & { readonly devices?: readonly DeviceRule[] };
  readonly seccomp?: LinuxSeccomp;
}

/** The name of the file in a bundle. */
export const CONFIG_FILE = 'config.json';
