// The cgroups below a cgroup. A container makes them, as deep and under such names as it likes (bytes that are no text among
// them), so they are reached one step at a time from an open directory, never by a path.
import * as abi from '../../linux/abi.gen.ts';
import { call, isErrno } from '../../linux/call.ts';
import { close, directoryEntries, open } from '../../linux/file.ts';

const DIRECTORY = abi.O_RDONLY | abi.O_DIRECTORY | abi.O_NOFOLLOW | abi.O_CLOEXEC;

interface Level {
  readonly fd: number;
  /** Names of the children that are still to be seen; each ends with a NUL. */
  readonly children: Uint8Array[];
}

function enter(fd: number): Level {
  const children = directoryEntries(fd, 'a cgroup')
    .filter(({ type }) => type === abi.DT_DIR)
    .map(({ name }) => name);
  return { fd, children };
}

/** Opens a child. @returns undefined when it has been removed since it was listed */
function openChild(parent: number, name: Uint8Array): number | undefined {
  try {
    return call('open', 'a cgroup', abi.SYS_openat, parent, name, DIRECTORY, 0);
  } catch (error) {
    if (isErrno(error, abi.ENOENT, abi.ENODEV)) return undefined;
    throw error;
  }
}

/**
 * Walks through a cgroup and all below it.
 * @param path of the first one
 * @param visit is called with each of them as an open directory, which is closed later
 * @param leave is called once all below one has been seen, with its name and its parent
 * @throws SystemError ENOENT when the first one is not there
 */
export function walkCgroups(
  path: string,
  visit: (fd: number) => void,
  leave: (parent: number, name: Uint8Array) => void = () => {},
): void {
  const levels: (Level & { readonly name: Uint8Array })[] = [];
  const push = (fd: number, name: Uint8Array): void => {
    levels.push({ fd, children: [], name });
    visit(fd);
    levels[levels.length - 1] = { ...enter(fd), name };
  };
  try {
    push(open(path, DIRECTORY), new Uint8Array());
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const name = level.children.pop();
      if (name === undefined) {
        levels.pop();
        close(level.fd);
        const parent = levels.at(-1);
        if (parent !== undefined) leave(parent.fd, level.name);
      } else {
        const child = openChild(level.fd, name);
        if (child !== undefined) push(child, name);
      }
    }
  } finally {
    for (const { fd } of levels) close(fd);
  }
}

/** Removes a cgroup and all below it; does nothing when it is not there. @throws SystemError EBUSY while it has processes */
export function removeCgroups(path: string): void {
  const remove = (at: number, name: string | Uint8Array): void => {
    try {
      call('rmdir', path, abi.SYS_unlinkat, at, name, abi.AT_REMOVEDIR);
    } catch (error) {
      if (!isErrno(error, abi.ENOENT)) throw error;
    }
  };
  try {
    walkCgroups(path, () => {}, remove);
  } catch (error) {
    if (!isErrno(error, abi.ENOENT)) throw error;
  }
  remove(abi.AT_FDCWD, path);
}
