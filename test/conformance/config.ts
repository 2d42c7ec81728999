// The config.json of a container of the suite: the one that `spec` writes, with the parts that a case is about.
import type { Mount } from '../../src/oci/config.ts';
import { defaultConfig } from '../../src/oci/default-config.ts';

/** What a case puts in the place of the default. Mounts are put behind the default ones. */
export interface Parts {
  readonly process?: Readonly<Record<string, unknown>>;
  readonly linux?: Readonly<Record<string, unknown>>;
  readonly root?: Readonly<Record<string, unknown>>;
  readonly mounts?: readonly Mount[];
  readonly [field: string]: unknown;
}

/** What a container's program is called with. */
export interface ContainerConfig extends Parts {
  readonly process: Readonly<Record<string, unknown>> & { readonly args: readonly string[] };
}

/** @param args the program and its arguments, unless the parts name others */
export function containerConfig(args: readonly string[], parts: Parts): ContainerConfig {
  const base = defaultConfig();
  const { process, linux, root, mounts, ...rest } = parts;
  return {
    ...base,
    hostname: 'box',
    process: { ...base.process, terminal: false, rlimits: [], args, ...process },
    root: { path: 'rootfs', ...root },
    mounts: [...(base.mounts ?? []), ...(mounts ?? [])],
    linux: { ...base.linux, ...linux },
    ...rest,
  };
}

/** `linux.namespaces` of these kinds. */
export function namespaces(...types: readonly string[]): { readonly type: string }[] {
  return types.map((type) => ({ type }));
}

/** Those that a container has unless it says otherwise. */
export const USUAL_NAMESPACES = ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'] as const;

/** The same capabilities in the sets that matter to root. */
export function capabilities(...names: readonly string[]): Record<string, readonly string[]> {
  return { bounding: names, effective: names, permitted: names, inheritable: [], ambient: [] };
}
