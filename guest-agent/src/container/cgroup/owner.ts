// Whose cgroup a container's is: of the user that its program runs as, where the program may make cgroups below it.
import { outerId } from '../../linux/id-map.ts';
import type { ContainerPlan } from '../config/plan.ts';

type OwnerPlan = Pick<ContainerPlan, 'namespaces' | 'mounts' | 'userNamespace'> & {
  readonly process: { readonly uid: number };
};

/**
 * As runc has it: with a cgroup namespace of its own and a cgroup tree that is mounted writable.
 * @returns the user's id outside of the container; undefined where root keeps the cgroup
 */
export function cgroupOwner({ namespaces, mounts, userNamespace, process: { uid } }: OwnerPlan): number | undefined {
  const hasOwnNamespace = namespaces.has('cgroup') && namespaces.get('cgroup') === undefined;
  const isWritable = mounts.some(({ type, options }) => type.startsWith('cgroup') && !options.includes('ro'));
  if (!hasOwnNamespace || !isWritable) return undefined;
  const owner = userNamespace === undefined ? uid : outerId(userNamespace.uidMappings, uid);
  return owner === 0 ? undefined : owner;
}
