// namespaces(7): descriptors of namespaces, and what a user namespace maps.
import * as abi from './abi.gen.ts';
import { tryCall } from './call.ts';
import { readText } from './file.ts';
import type { IdRange } from './id-map.ts';

/** Kind of the namespace that is open (`CLONE_NEW*`); undefined when the file is no namespace. (ioctl_ns(2)) */
export function namespaceTypeOf(fd: number): number | undefined {
  const type = tryCall(abi.SYS_ioctl, fd, abi.NS_GET_NSTYPE);
  return type < 0 ? undefined : type;
}

/** A process's uid_map or gid_map, with outer ids as this process sees them. (user_namespaces(7)) */
export function readIdMap(pid: number, file: 'uid_map' | 'gid_map'): IdRange[] {
  const lines = readText(`/proc/${pid}/${file}`).split('\n');
  return lines
    .filter((line) => line !== '')
    .map((line) => {
      const [inner = 0, outer = 0, size = 0] = line.trim().split(/ +/).map(Number);
      return { inner, outer, size };
    });
}
