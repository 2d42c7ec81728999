// What containerd-shim-runc-v2 is told: that its runtime is ours.
import { appended } from '../../guest-agent/src/bytes.ts';
import { Any, CreateTaskRequest, RuncOptions } from '../../src/protocol/containerd.gen.ts';

/** The type of its options. */
const RUNC_OPTIONS = 'containerd.runc.v1.Options';

/** Where our runtime keeps its state when nobody says otherwise. */
export const DEFAULT_ROOT = '/run/containerd/tskata';

/** cgroupsPath for the systemd driver: slice, prefix and name (runc, docs/systemd.md). */
const SYSTEMD_PATH = /^[^/:]*:[^/:]*:[^/:]*$/;

export interface CompletedCreate {
  readonly id: string;
  readonly root: string;
  /** The request, encoded. */
  readonly request: Uint8Array;
}

/**
 * Completes a request to make a container. Options of the runc shim are kept where the caller has some; those of another type, which
 * it does not understand, are not.
 * @param payload an encoded CreateTaskRequest
 * @param program the runtime, by its absolute path
 * @param readConfig gives the text of config.json of a bundle
 * @throws Error of a payload that is none
 */
export function completeCreate(
  payload: Uint8Array,
  program: string,
  readConfig: (bundle: string) => string,
): CompletedCreate {
  const { id, bundle, options } = CreateTaskRequest.decode(payload);
  const completed = complete(options, program, namesSystemd(bundle, readConfig));
  const { root } = RuncOptions.decode(completed.value);
  // As with options: the last one counts.
  const request = appended(payload, CreateTaskRequest.encode({ id: '', bundle: '', options: completed }));
  return { id, root, request };
}

/**
 * Completes the options with which containerd (2.0 and later) asks what a runtime is and can do.
 * @param options an encoded Any, or nothing
 * @throws Error of what is neither
 */
export function completeOptions(options: Uint8Array, program: string): Uint8Array {
  return Any.encode(complete(Any.decode(options), program, false));
}

function complete(options: Any | undefined, program: string, isSystemd: boolean): Any {
  const given = options?.typeUrl.endsWith(RUNC_OPTIONS) === true ? options.value : new Uint8Array(0);
  const { binaryName, root, systemdCgroup } = RuncOptions.decode(given);
  const added = RuncOptions.encode({
    binaryName: binaryName || program,
    root: root || DEFAULT_ROOT,
    systemdCgroup: systemdCgroup || isSystemd,
  });
  // Of a field that comes twice the last one counts (Protocol Buffers, "Encoding", Last One Wins): all else stays as it is.
  return { typeUrl: RUNC_OPTIONS, value: appended(given, added) };
}

/** Engines that use the systemd driver have no other way to tell a shim that they do not know. */
function namesSystemd(bundle: string, readConfig: (bundle: string) => string): boolean {
  try {
    const { linux } = JSON.parse(readConfig(bundle)) as { linux?: { cgroupsPath?: unknown } };
    return SYSTEMD_PATH.test(String(linux?.cgroupsPath ?? ''));
  } catch {
    return false; // The runtime says what is wrong with it.
  }
}
