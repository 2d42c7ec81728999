// Hooks: programs of the host that the caller wants run at points of a container's life (OCI runtime-spec 1.2, config.md).
// createContainer and startContainer hooks are the guest's (src/oci/guest-hooks.ts).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { messageOf } from '../lib/errors.ts';
import { TIMER_MAX_MS } from '../lib/units.ts';
import type { Hook, HookPoint } from '../oci/config.ts';
import type { State } from '../oci/state.ts';
import { RuntimeError } from './runtime-error.ts';

/**
 * Runs the hooks of one point in their order, each with the state on its standard input.
 * @param abort kills the one that runs, which fails then
 * @throws RuntimeError HOOK_FAILED for the first that fails, in runc's words
 */
export async function runHooks(
  point: HookPoint,
  hooks: readonly Hook[] | undefined,
  state: State,
  abort?: AbortSignal,
): Promise<void> {
  for (const [index, hook] of (hooks ?? []).entries()) {
    const { how, stdout, stderr } = await runHook(hook, state, abort);
    if (how === undefined) continue;
    const message = `error running ${point} hook #${index}: ${how}, stdout: ${stdout}, stderr: ${stderr}`;
    throw new RuntimeError('HOOK_FAILED', message, { path: hook.path, point, index });
  }
}

interface HookResult {
  /** How it failed; undefined when it did not. */
  readonly how: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

async function runHook(hook: Hook, state: State, abort: AbortSignal | undefined): Promise<HookResult> {
  const [argv0 = hook.path, ...args] = hook.args ?? [];
  const child = spawn(hook.path, args, {
    argv0,
    cwd: state.bundle,
    // Its own environment and nothing of ours.
    env: Object.fromEntries((hook.env ?? []).map(splitVariable)),
    stdio: ['pipe', 'pipe', 'pipe'],
    killSignal: 'SIGKILL',
    ...(abort === undefined ? {} : { signal: abort }),
    ...(hook.timeout === undefined ? {} : { timeout: Math.min(hook.timeout * 1000, TIMER_MAX_MS) }),
  });
  // A hook need not read the state.
  child.stdin.on('error', () => {});
  child.stdin.end(JSON.stringify(state));
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  output.catch(() => {});
  try {
    const [status, signal] = await once(child, 'close');
    const [stdout, stderr] = await output;
    return { how: status === 0 ? undefined : describeEnd(status, signal, hook), stdout, stderr };
  } catch (error) {
    // What it started may hold their other ends, and must not hold us.
    child.stdout.destroy();
    child.stderr.destroy();
    return { how: messageOf(error), stdout: '', stderr: '' };
  }
}

function describeEnd(status: number | null, signal: string | null, hook: Hook): string {
  if (signal === null) return `exit status ${status}`;
  if (hook.timeout === undefined) return `signal: ${signal}`;
  return `hook ran past specified timeout of ${hook.timeout.toFixed(1)}s`;
}

function splitVariable(variable: string): [string, string] {
  const at = variable.indexOf('=');
  return at < 0 ? [variable, ''] : [variable.slice(0, at), variable.slice(at + 1)];
}
