// The folder that the guest sees: bind mounts of root file systems and volumes, in the sandbox's own mount namespace.
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_REC } from '../ffi/abi.gen.ts';
import { bindMount, mount, placeMount, setPropagation, unmount } from '../ffi/mount.unsafe.ts';
import { type HostShare, hostShares, rootfsShare } from '../oci/guest-config.ts';
import { type Bundle, readBundle } from './bundle.ts';
import { type HeldMounts, missingSource } from './held-mounts.ts';
import type { SavedSandbox } from './sandbox-arguments.ts';
import { removeEmpty, SHARED_FOLDER, WRITABLE_FOLDER } from './state-store.ts';

/** On the host the sandbox's folder is closed anyway; in the guest the root of a user namespace must be able to pass. */
const FOLDER_MODE = 0o711;

/** What mount points may take: they are empty, and a few for each container. */
const LIMITS = 'size=4m,nr_inodes=16k';

export class SharedFolder {
  /** What the guest sees: it may write where something is mounted, and nowhere else. */
  readonly path: string;
  /** The same, where we can write. Mounts that are made here appear there. */
  readonly #writable: string;
  readonly #mounted = new Map<string, string[]>();

  /**
   * Makes the folder below the sandbox's. This process must have a mount namespace of its own: of what is made here others see
   * empty folders. @throws SystemError
   */
  constructor(sandboxDirectory: string) {
    this.path = join(sandboxDirectory, SHARED_FOLDER);
    this.#writable = join(sandboxDirectory, WRITABLE_FOLDER);
    for (const folder of [this.path, this.#writable]) mkdirSync(folder, { mode: FOLDER_MODE });
    // Shared, also with a file server that moves into a namespace of its own.
    const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    mount({ source: 'tskata', target: this.#writable, type: 'tmpfs', flags, data: `mode=0711,${LIMITS}` });
    setPropagation(this.#writable, 'shared');
    // A guest that could make links here would lead us astray when the next container's things are mounted.
    bindMount(this.#writable, this.path, { readOnly: true });
  }

  /**
   * Puts a container's root file system and the other paths in place.
   * @param held what is to be put there instead of what this process sees at its source
   * @throws RuntimeError INVALID_BUNDLE for a source that is not there; SystemError. What was mounted before is taken away.
   */
  add(containerId: string, bundle: Bundle, shares: readonly HostShare[], held: HeldMounts['paths']): void {
    using undo = new DisposableStack();
    undo.defer(() => this.remove(containerId));
    for (const { source, target, recursive } of [rootfsShare(containerId, bundle.rootfs), ...shares]) {
      const path = resolve(bundle.directory, source);
      const heldPath = held[target];
      const point = this.#makePoint(heldPath ?? path, target);
      if (heldPath === undefined) mount({ source: path, target: point, flags: MS_BIND | (recursive ? MS_REC : 0) });
      else placeMount(heldPath, point);
      this.#mounted.set(containerId, [...(this.#mounted.get(containerId) ?? []), point]);
    }
    undo.move();
  }

  /**
   * Puts in place what the container of a saved VM had, before that VM is made. @throws ConfigError; as `add`
   */
  addSaved({ bundle: path, sharedName }: SavedSandbox): void {
    const bundle = readBundle(path);
    this.add(sharedName, bundle, hostShares(bundle.config, sharedName), {});
  }

  /** Takes a container's mounts away, and the points that were made for them: others may come and go for long. */
  remove(containerId: string): void {
    for (const target of (this.#mounted.get(containerId) ?? []).reverse()) unmount(target, { detach: true });
    this.#mounted.delete(containerId);
    try {
      removeMountPoints(join(this.#writable, containerId));
    } catch {
      // One is in use yet: it goes with the sandbox.
    }
  }

  /** Makes what a source can be mounted on: a folder or a file, as it is one. @returns its path */
  #makePoint(source: string, name: string): string {
    const stat = statSync(source, { throwIfNoEntry: false });
    if (stat === undefined) throw missingSource(source);
    const point = join(this.#writable, name);
    mkdirSync(stat.isDirectory() ? point : dirname(point), { recursive: true, mode: FOLDER_MODE });
    if (!stat.isDirectory()) writeFileSync(point, '', { mode: 0o600 });
    return point;
  }
}

/**
 * Takes away the points on which a container's things were mounted. Never by a recursive removal: if a mount could be seen after
 * all, that would empty a volume.
 * @param folder the container's: `rootfs`, and what the guest's configuration names (`HostShare`) in `mounts` and `hooks`
 */
function removeMountPoints(folder: string): void {
  removeEmpty(join(folder, 'rootfs'));
  for (const shares of [join(folder, 'mounts'), join(folder, 'hooks')].filter((path) => existsSync(path))) {
    for (const name of readdirSync(shares)) removeEmpty(join(shares, name));
    removeEmpty(shares);
  }
  removeEmpty(folder);
}
