// What config.json asks for, parsed and checked: what the rest of this folder's neighbours carry out.

/** A namespace that a container may have of its own. */
export type NamespaceKind = 'pid' | 'mount' | 'ipc' | 'uts' | 'cgroup';

export interface MountPlan {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export interface DevicePlan {
  readonly path: string;
  /** S_IFCHR, S_IFBLK or S_IFIFO. */
  readonly type: number;
  readonly major: number;
  readonly minor: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Masks of `1n << capability`. */
export interface CapabilityPlan {
  readonly bounding: bigint;
  readonly effective: bigint;
  readonly inheritable: bigint;
  readonly permitted: bigint;
  readonly ambient: bigint;
}

export interface LimitPlan {
  readonly name: string;
  readonly resource: number;
  readonly soft: number;
  readonly hard: number;
}

export interface ProcessPlan {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  readonly umask: number;
  readonly capabilities: CapabilityPlan;
  readonly limits: readonly LimitPlan[];
  readonly noNewPrivileges: boolean;
  readonly oomScoreAdj: number;
  readonly terminal: boolean;
}

export interface ContainerPlan {
  readonly process: ProcessPlan;
  readonly namespaces: ReadonlySet<NamespaceKind>;
  readonly hostname: string | undefined;
  readonly domainname: string | undefined;
  readonly readonlyRoot: boolean;
  /** Mount flags for `/`, before anything is mounted. */
  readonly rootPropagation: number;
  readonly mounts: readonly MountPlan[];
  readonly devices: readonly DevicePlan[];
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly sysctl: readonly (readonly [name: string, value: string])[];
  /** Files of the container's cgroup and what to write into them, in order. */
  readonly cgroupFiles: readonly (readonly [file: string, value: string])[];
}

/** A plan and what it leaves out, a line each. */
export interface Parsed<Plan> {
  readonly plan: Plan;
  readonly warnings: readonly string[];
}
