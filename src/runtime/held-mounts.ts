// What a verb hands over to a sandbox that was there before it: mounts that may have been made since, where the sandbox does not
// see them. (Propagation brings it those on shared mounts; podman keeps its storage on a private one.)
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { holdMount } from '../ffi/mount.unsafe.ts';
import { hostShares, rootfsShare } from '../oci/guest-config.ts';
import type { Bundle } from './bundle.ts';
import { RuntimeError } from './runtime-error.ts';

/** Mounts that are there for as long as this is. */
export interface HeldMounts extends Disposable {
  /** By their places below the shared folder, paths under which the sandbox finds them: `held_mounts` in sandbox.proto. */
  readonly paths: Readonly<Record<string, string>>;
}

/** Holds a container's root file system and volumes as this process sees them. @throws RuntimeError INVALID_BUNDLE; SystemError */
export function holdMounts(id: string, { directory, config, rootfs }: Bundle): HeldMounts {
  using held = new DisposableStack();
  const paths: Record<string, string> = {};
  for (const share of [rootfsShare(id, rootfs), ...hostShares(config, id)]) {
    const source = resolve(directory, share.source);
    if (!existsSync(source)) throw missingSource(source);
    const { fd } = held.use(holdMount(source, share.recursive));
    paths[share.target] = `/proc/${process.pid}/fd/${fd}`;
  }
  const kept = held.move();
  return { paths, [Symbol.dispose]: () => kept.dispose() };
}

/** The error about a source that is not there. */
export function missingSource(source: string): RuntimeError {
  const message = `cannot share ${source} with the guest: no such file or directory`;
  return new RuntimeError('INVALID_BUNDLE', message, { path: source });
}
