// mount(2), umount2(2), and mounts as descriptors (open_tree(2), move_mount(2)).
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  MNT_DETACH,
  MOVE_MOUNT_F_SYMLINKS,
  MS_BIND,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_REMOUNT,
  MS_SHARED,
  MS_SLAVE,
  mount_attr as mountAttributes,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  UMOUNT_NOFOLLOW,
} from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { OwnedFd } from './fd.unsafe.ts';
import { libcFunction, type Pointer } from './koffi.unsafe.ts';

const mountCall = libcFunction<[string | null, string, string | null, number, string | null], number>(
  'int mount(const char *source, const char *target, const char *type, ulong flags, const char *data)',
);
const openTree = libcFunction<[number, string, number], number>(
  'int open_tree(int directory, const char *path, uint flags)',
);
const mountSetattr = libcFunction<[number, string, number, Pointer, number], number>(
  'int mount_setattr(int directory, const char *path, uint flags, void *attributes, size_t size)',
);
const moveMountCall = libcFunction<[number, string, number, string, number], number>(
  'int move_mount(int fromDirectory, const char *from, int toDirectory, const char *to, uint flags)',
);
const umount2 = libcFunction<[string, number], number>('int umount2(const char *target, int flags)');

/** The arguments of mount(2). */
export interface MountArguments {
  readonly source?: string;
  readonly target: string;
  readonly type?: string;
  /** MS_*, or-ed. */
  readonly flags?: number;
  /** The file system's own options, comma-separated. */
  readonly data?: string;
}

/** mount(2) in this process's mount namespace. @throws SystemError */
export function mount({ source, target, type, flags = 0, data }: MountArguments): void {
  const result = mountCall(source ?? null, target, type ?? null, flags, data ?? null);
  check(result, 'mount', source === undefined ? target : `${source} at ${target}`);
}

/** Makes `source` visible at `target` too, with the mounts below it. @throws SystemError */
export function bindMount(source: string, target: string, options: { readonly readOnly?: boolean } = {}): void {
  mount({ source, target, flags: MS_BIND | MS_REC });
  // The kernel ignores MS_RDONLY when a bind mount is made; it takes a second call (mount(2), "Creating a bind mount").
  if (options.readOnly === true) mount({ target, flags: MS_BIND | MS_REMOUNT | MS_RDONLY });
}

const PROPAGATION = { private: MS_PRIVATE, slave: MS_SLAVE, shared: MS_SHARED } as const;

/** Sets the propagation of a mount and all below it (mount_namespaces(7)). @throws SystemError */
export function setPropagation(target: string, propagation: keyof typeof PROPAGATION): void {
  mount({ target, flags: PROPAGATION[propagation] | MS_REC });
}

/** Takes a mount away; with `detach` it vanishes at once, though still in use. Symbolic links are not followed. @throws SystemError */
export function unmount(target: string, options: { readonly detach?: boolean } = {}): void {
  check(umount2(target, UMOUNT_NOFOLLOW | (options.detach === true ? MNT_DETACH : 0)), 'umount2', target);
}

/**
 * Holds what is at a path of this process's mount namespace as a mount that is nowhere yet: whoever gets the descriptor may put it
 * into a namespace where that path shows something else. It follows the mounts that come and go below the source, and not the
 * other way round. Linux 5.12.
 * @param recursive with the mounts below it
 * @throws SystemError
 */
export function holdMount(source: string, recursive: boolean): OwnedFd {
  const depth = recursive ? AT_RECURSIVE : 0;
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | depth;
  const held = new OwnedFd(check(openTree(AT_FDCWD, source, flags), 'open_tree', source));
  const attributes = Buffer.alloc(mountAttributes.sizeof);
  attributes.writeBigUInt64LE(BigInt(MS_SLAVE), mountAttributes.propagation);
  const result = mountSetattr(held.fd, '', AT_EMPTY_PATH | depth, attributes, attributes.length);
  if (result < 0) {
    using _ = held;
    check(result, 'mount_setattr', source);
  }
  return held;
}

/** Puts a held mount at a path; it can be put once. @param held path of its descriptor below /proc. @throws SystemError */
export function placeMount(held: string, target: string): void {
  const result = moveMountCall(AT_FDCWD, held, AT_FDCWD, target, MOVE_MOUNT_F_SYMLINKS);
  check(result, 'move_mount', `${held} at ${target}`);
}
