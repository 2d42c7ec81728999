// What a container mounts and cannot reach by itself: id-mapped mounts need rights over the file system's own user
// namespace, and to the root of a user namespace folders of the guest may be closed. The agent makes these mounts, detached,
// and hands them to the container's first process.
import { messageOf } from '../../../src/lib/errors.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import * as abi from '../linux/abi.gen.ts';
import { close, open, tryRead, withFd } from '../linux/file.ts';
import type { IdRange } from '../linux/id-map.ts';
import { copyMount, mapIds, setPropagation } from '../linux/mount.ts';
import { exit, fork, waitForChild } from '../linux/process.ts';
import { pipe } from '../linux/socket.ts';
import { codeOf } from './channel.ts';
import { parseMountOptions } from './config/mount-options.ts';
import type { ContainerPlan, MountIdMap, MountPlan } from './config/plan.ts';
import { setMappings } from './outside.ts';

/** Open, detached mounts, by the index of the mount that they are for. */
export type MountSources = ReadonlyMap<number, number>;

/**
 * Runs `action` with what the agent has to make of a plan's mounts, and closes it afterwards.
 * @param userNamespace the one that the container joins, open
 * @throws StatusError
 */
export function withMountSources<T>(
  plan: ContainerPlan,
  userNamespace: number | undefined,
  action: (sources: MountSources) => T,
): T {
  const sources = new Map<number, number>();
  try {
    for (const [index, mount] of plan.mounts.entries()) {
      const isOurs = mount.idMap !== undefined || plan.userNamespace !== undefined;
      if (mount.type === 'bind' && isOurs) sources.set(index, prepare(plan, mount, userNamespace));
    }
    return action(sources);
  } finally {
    for (const fd of sources.values()) close(fd);
  }
}

function prepare(plan: ContainerPlan, mount: MountPlan, userNamespace: number | undefined): number {
  const { source, destination, idMap } = mount;
  try {
    const tree = copyMount(abi.AT_FDCWD, source, source, parseMountOptions(mount.options).bind === 'recursive');
    try {
      // As if the container's process had copied it, whose mounts are the guest's no more.
      if ((plan.rootPropagation & abi.MS_SHARED) === 0) setPropagation(tree, source, abi.MS_SLAVE | abi.MS_REC);
      if (idMap !== undefined) {
        withFd(openIdMap(plan, idMap, userNamespace), (fd) => mapIds(tree, source, fd, idMap.recursive));
      }
      return tree;
    } catch (error) {
      close(tree);
      throw error;
    }
  } catch (cause) {
    const what = `error mounting "${source}" to rootfs at "${destination}"`;
    throw new StatusError(codeOf(cause), `${what}: ${messageOf(cause)}`, { path: destination }, { cause });
  }
}

/** A user namespace with a mount's mappings: its own, or the container's. */
function openIdMap(plan: ContainerPlan, idMap: MountIdMap, userNamespace: number | undefined): number {
  if (idMap.uidMappings.length > 0) return makeUserNamespace(idMap.uidMappings, idMap.gidMappings);
  if (plan.userNamespace === undefined) {
    throw new StatusError('INVALID_ARGUMENT', 'idmap needs uidMappings and gidMappings, or a user namespace in linux');
  }
  if (userNamespace !== undefined) return open(`/proc/self/fd/${userNamespace}`, abi.O_RDONLY);
  return makeUserNamespace(plan.userNamespace.uidMappings, plan.userNamespace.gidMappings);
}

/** Mappings are a user namespace's, and that is some process's, for as long as nobody has it open. */
function makeUserNamespace(uidMappings: readonly IdRange[], gidMappings: readonly IdRange[]): number {
  const [readEnd, writeEnd] = pipe();
  const pid = fork(abi.CLONE_NEWUSER);
  if (pid === 0) {
    close(writeEnd);
    tryRead(readEnd, new Uint8Array(1));
    exit(0);
  }
  try {
    setMappings(pid, 'uid_map', uidMappings);
    setMappings(pid, 'gid_map', gidMappings);
    return open(`/proc/${pid}/ns/user`, abi.O_RDONLY);
  } finally {
    close(writeEnd);
    close(readEnd);
    waitForChild(pid);
  }
}
