// What config.json asks for, parsed and checked: what the rest of this folder's neighbours carry out.
import type { IdRange } from '../../linux/id-map.ts';
import type { SeccompProgram } from '../../linux/seccomp.ts';
import type { HookPlans } from './hooks.ts';
import type { ResourcesPlan } from './resources.ts';
import type { AffinityPlan, IoPriorityPlan, SchedulerPlan } from './scheduling.ts';

/** Kinds of namespaces, by their names in config.json. */
export type NamespaceKind = 'user' | 'mount' | 'pid' | 'network' | 'ipc' | 'uts' | 'cgroup' | 'time';

export interface UserNamespacePlan {
  /** Of a namespace that is there already both lists are empty, or say what it has. */
  readonly uidMappings: readonly IdRange[];
  readonly gidMappings: readonly IdRange[];
}

/** What a clock of a new time namespace is ahead of the guest's. */
export interface TimeOffset {
  readonly clock: 'monotonic' | 'boottime';
  readonly seconds: number;
  readonly nanoseconds: number;
}

export interface MountPlan {
  readonly destination: string;
  /** `bind` for all bind mounts, whatever the configuration calls them. */
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
  /** How ids are mapped; with empty lists as the container's user namespace maps them. */
  readonly idMap: MountIdMap | undefined;
}

export interface MountIdMap {
  /** Of the mounts below as well. */
  readonly recursive: boolean;
  readonly uidMappings: readonly IdRange[];
  readonly gidMappings: readonly IdRange[];
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
  readonly scheduler: SchedulerPlan | undefined;
  readonly ioPriority: IoPriorityPlan | undefined;
  /** Of processes that are run later; the init process has the guest's. */
  readonly affinity: AffinityPlan | undefined;
  /** PER_*, from linux.personality. */
  readonly personality: number | undefined;
  /** From linux.seccomp. */
  readonly seccomp: SeccompProgram | undefined;
  readonly terminal: boolean;
  readonly consoleSize: { readonly rows: number; readonly columns: number } | undefined;
}

export interface ContainerPlan {
  readonly process: ProcessPlan;
  readonly hooks: HookPlans;
  readonly annotations: Readonly<Record<string, string>> | undefined;
  /** Those that are not the guest's own: the path of one to join, undefined for a new one. */
  readonly namespaces: ReadonlyMap<NamespaceKind, string | undefined>;
  /** There where `namespaces` has `user`. The container's root is not the guest's then, and may make no device nodes. */
  readonly userNamespace: UserNamespacePlan | undefined;
  readonly timeOffsets: readonly TimeOffset[];
  readonly hostname: string | undefined;
  readonly domainname: string | undefined;
  readonly readonlyRoot: boolean;
  /** linux.rootfsPropagation as MS_* flags; 0 where nothing is said. */
  readonly rootPropagation: number;
  readonly mounts: readonly MountPlan[];
  readonly devices: readonly DevicePlan[];
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly sysctl: readonly (readonly [name: string, value: string])[];
  readonly resources: ResourcesPlan;
}

/** A plan and what it leaves out, a line each. */
export interface Parsed<Plan> {
  readonly plan: Plan;
  readonly warnings: readonly string[];
}
