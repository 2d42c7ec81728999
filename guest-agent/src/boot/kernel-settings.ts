// What the kernel's own defaults are not good enough for, where containers can not change it themselves: it holds for the
// whole guest. Settings that belong to a container's namespaces (net.*, kernel.shm*) come with its configuration.
import { messageOf } from '../../../src/lib/errors.ts';
import { writeText } from '../linux/file.ts';
import { log } from '../log.ts';

const SETTINGS: readonly (readonly [name: string, value: string])[] = [
  // As every host with systemd has it, and programs in /tmp rely on it (Documentation/admin-guide/sysctl/fs.rst).
  ['fs/protected_symlinks', '1'],
  ['fs/protected_hardlinks', '1'],
  ['fs/protected_fifos', '1'],
  ['fs/protected_regular', '2'],
  // Search engines and databases that map their files do not start with the default of 65530, and the host's setting does
  // not reach into the guest. The memory that it costs counts for the cgroup of who uses it.
  ['vm/max_map_count', '1048576'],
  // What wakes a guest that does nothing, each second or oftener, for nothing: each time is an exit on the host, which has many
  // guests. Memory is made contiguous when it is wanted so; counters of pages are up to date when they are read of a cgroup.
  ['vm/compaction_proactiveness', '0'],
  ['vm/stat_interval', '60'],
];

/** Sets them; what a kernel does not have is told on the console. */
export function applyKernelSettings(): void {
  for (const [name, value] of SETTINGS) {
    try {
      writeText(`/proc/sys/${name}`, value);
    } catch (error) {
      log(`kernel setting ${name}=${value}: ${messageOf(error)}`);
    }
  }
}
