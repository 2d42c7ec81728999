// The guest's cgroup tree: containers are below /sys/fs/cgroup/tskata, with every controller the kernel has.
import { messageOf } from '../../../src/lib/errors.ts';
import { makeDirectory, readText, writeText } from '../linux/file.ts';
import { log } from '../log.ts';

/** Parent of every container's cgroup. */
export const CGROUP_PARENT = '/sys/fs/cgroup/tskata';

/** Makes the parent cgroup and passes the controllers down to its children. */
export function prepareCgroups(): void {
  makeDirectory(CGROUP_PARENT);
  for (const directory of ['/sys/fs/cgroup', CGROUP_PARENT]) {
    const controllers = readText(`${directory}/cgroup.controllers`)
      .split(/\s+/)
      .filter((name) => name !== '');
    // One write each: a controller that cannot be enabled must not keep the others away.
    for (const name of controllers) {
      try {
        writeText(`${directory}/cgroup.subtree_control`, `+${name}`);
      } catch (error) {
        log(`cgroup controller ${name} cannot be used: ${messageOf(error)}`);
      }
    }
  }
}
