// hooks (OCI runtime-spec 1.2, config, "POSIX-platform Hooks"): those that run in a container's namespaces.
import { StatusError } from '../../../../src/protocol/status.ts';
import type { JsonObject } from './json.ts';
import { warn } from './problems.ts';

export interface HookPlan {
  /** Absolute: in the guest for createContainer, in the container for startContainer. */
  readonly path: string;
  /** With the name of the program first. */
  readonly args: readonly string[];
  readonly env: readonly string[];
  /** Undefined: as long as it takes. */
  readonly timeoutSeconds: number | undefined;
}

/** Points at which the agent runs hooks. */
export type GuestHookPoint = 'createContainer' | 'startContainer';
export type HookPlans = Readonly<Record<GuestHookPoint, readonly HookPlan[]>>;

const HOST_POINTS = ['prestart', 'createRuntime', 'poststart', 'poststop'];
const TIMEOUT_MAX_SECONDS = 2 ** 32 - 1;

export function parseHooks(config: JsonObject, warnings: string[]): HookPlans {
  const hooks = config.object('hooks');
  for (const point of HOST_POINTS) warn(warnings, hooks, point, "it is the runtime's, on the host");
  const parse = (point: GuestHookPoint): HookPlan[] => (hooks?.objects(point) ?? []).map(parseHook);
  return { createContainer: parse('createContainer'), startContainer: parse('startContainer') };
}

function parseHook(hook: JsonObject): HookPlan {
  const path = hook.requiredString('path');
  if (!path.startsWith('/')) {
    throw new StatusError('INVALID_ARGUMENT', `config.json: ${hook.pathOf('path')} "${path}" must be absolute`);
  }
  const args = hook.strings('args');
  return {
    path,
    args: args.length === 0 ? [path] : args,
    env: hook.strings('env'),
    // "If set, timeout MUST be greater than zero."
    timeoutSeconds: hook.numberWithin('timeout', 1, TIMEOUT_MAX_SECONDS),
  };
}
