// The folder that the guest sees: bind mounts of root file systems and volumes, in the sandbox's own mount namespace.
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { MS_BIND, MS_REC } from '../ffi/abi.gen.ts';
import { mount, setPropagation, unmount } from '../ffi/mount.unsafe.ts';
import type { HostShare } from '../oci/guest-config.ts';
import { RuntimeError } from './runtime-error.ts';
import { removeMountPoints, SHARED_FOLDER } from './state-store.ts';

/** On the host the sandbox's folder is closed anyway; in the guest the root of a user namespace must be able to pass. */
const FOLDER_MODE = 0o711;

export class SharedFolder {
  readonly path: string;
  readonly #mounted = new Map<string, string[]>();

  /** Makes the folder below the sandbox's. This process must have a mount namespace of its own. @throws SystemError */
  constructor(sandboxDirectory: string) {
    this.path = join(sandboxDirectory, SHARED_FOLDER);
    mkdirSync(this.path, { mode: FOLDER_MODE });
    // A mount by itself, and shared: a file server that moved into a namespace of its own still sees what is mounted later.
    mount({ source: this.path, target: this.path, flags: MS_BIND });
    setPropagation(this.path, 'shared');
  }

  /**
   * Puts a container's root file system and the other paths in place.
   * @throws RuntimeError INVALID_BUNDLE for a source that is not there; SystemError. What was mounted before is taken away.
   */
  add(containerId: string, bundle: string, rootfs: string, shares: readonly HostShare[]): void {
    using undo = new DisposableStack();
    undo.defer(() => this.remove(containerId));
    this.#bind(containerId, rootfs, `${containerId}/rootfs`, true);
    for (const { source, target, recursive } of shares) {
      this.#bind(containerId, resolve(bundle, source), target, recursive);
    }
    undo.move();
  }

  /** Takes a container's mounts away, and the points that were made for them: others may come and go for long. */
  remove(containerId: string): void {
    for (const target of (this.#mounted.get(containerId) ?? []).reverse()) unmount(target, { detach: true });
    this.#mounted.delete(containerId);
    try {
      removeMountPoints(this.path, containerId);
    } catch {
      // The guest can write there too: what it has left goes with the sandbox.
    }
  }

  #bind(containerId: string, source: string, name: string, recursive: boolean): void {
    const stat = statSync(source, { throwIfNoEntry: false });
    if (stat === undefined) {
      const message = `cannot share ${source} with the guest: no such file or directory`;
      throw new RuntimeError('INVALID_BUNDLE', message, { path: source });
    }
    const target = join(this.path, name);
    mkdirSync(stat.isDirectory() ? target : dirname(target), { recursive: true, mode: FOLDER_MODE });
    if (!stat.isDirectory()) writeFileSync(target, '', { mode: 0o600 });
    mount({ source, target, flags: MS_BIND | (recursive ? MS_REC : 0) });
    this.#mounted.set(containerId, [...(this.#mounted.get(containerId) ?? []), target]);
  }
}
