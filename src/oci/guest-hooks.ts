// Hooks that run in the guest (OCI runtime-spec 1.2, config, "POSIX-platform Hooks"): the others are programs of the host,
// and run there.
import type { Hook, Hooks } from './config.ts';
import type { HostShare } from './guest-config.ts';

export interface GuestHooks {
  readonly hooks: Hooks;
  readonly shares: readonly HostShare[];
}

/**
 * createContainer hooks are found in the runtime's namespace, which is the host's: each one's file is shared with the guest,
 * and that file alone. startContainer hooks are found in the container.
 * @param sharedPath where the guest sees the shared folder
 */
export function hooksForGuest(hooks: Hooks | undefined, containerId: string, sharedPath: string): GuestHooks {
  const shares: HostShare[] = [];
  // Some write null for a list that is empty.
  const createContainer = (hooks?.createContainer ?? []).map((hook, index): Hook => {
    const target = `${containerId}/hooks/${index}`;
    shares.push({ source: hook.path, target, recursive: false });
    // It goes by its own name, whatever its path in the guest is.
    const args = hook.args?.length ? hook.args : [hook.path];
    return { ...hook, path: `${sharedPath}/${target}`, args };
  });
  return { hooks: { createContainer, startContainer: hooks?.startContainer ?? [] }, shares };
}
