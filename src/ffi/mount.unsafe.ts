// mount(2) and umount2(2).
import {
  MNT_DETACH,
  MS_BIND,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_REMOUNT,
  MS_SHARED,
  MS_SLAVE,
  UMOUNT_NOFOLLOW,
} from './abi.gen.ts';
import { check } from './check.unsafe.ts';
import { libcFunction } from './koffi.unsafe.ts';

const mountCall = libcFunction<[string | null, string, string | null, number, string | null], number>(
  'int mount(const char *source, const char *target, const char *type, ulong flags, const char *data)',
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
