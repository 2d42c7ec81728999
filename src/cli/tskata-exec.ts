// `tskata exec`: runs a process in a container.
import { readFileSync } from 'node:fs';
import { messageOf } from '../lib/errors.ts';
import type { Process } from '../oci/config.ts';
import { parseConfigText } from '../oci/config-text.ts';
import { execProcess } from '../oci/exec-process.ts';
import { validateProcess } from '../oci/validate.ts';
import { readBundle } from '../runtime/bundle.ts';
import { execInContainer } from '../runtime/exec.ts';
import { letGo } from '../runtime/launch.ts';
import { RuntimeError } from '../runtime/runtime-error.ts';
import { StateStore } from '../runtime/state-store.ts';
import { exitStatus, forwardSignals } from './foreground.ts';
import type { GlobalOptions } from './tskata.ts';

/** As commander gives them. */
export interface ExecVerbFlags {
  readonly consoleSocket?: string;
  readonly pidfdSocket?: string;
  readonly cwd?: string;
  readonly env?: readonly string[];
  readonly tty?: boolean;
  readonly user?: string;
  readonly additionalGids?: readonly string[];
  readonly process?: string;
  readonly detach?: boolean;
  readonly pidFile?: string;
  readonly processLabel?: string;
  readonly apparmor?: string;
  readonly noNewPrivs?: boolean;
  readonly cap?: readonly string[];
  readonly preserveFds: number;
  readonly cgroup?: readonly string[];
  readonly ignorePaused?: boolean;
}

/** runc's exit status of an exec that could not be done: others are the process's. */
export const EXEC_FAILED_STATUS = 255;

/** @returns the exit status of the process; 0 with `--detach` */
export async function exec(
  globals: GlobalOptions,
  flags: ExecVerbFlags,
  id: string,
  args: readonly string[],
): Promise<number> {
  const store = new StateStore(globals.root);
  const detach = flags.detach === true;
  try {
    const { bundle } = store.read(id);
    if (flags.cgroup?.length) {
      const message = "cannot run in a cgroup below the container's: leave out --cgroup";
      throw new RuntimeError('UNSUPPORTED', message, { id });
    }
    const process = flags.process === undefined ? describedProcess(bundle, flags, args) : readProcess(flags.process);
    const options = { ...flags, id, process, detach, ignorePaused: flags.ignorePaused === true };
    const proxy = await execInContainer(store, globals.installation, options);
    if (detach) {
      letGo(proxy);
      return 0;
    }
    const ended = exitStatus(proxy.child);
    forwardSignals(proxy.identity);
    return await ended;
  } catch (cause) {
    throw new ExecError(`exec failed: ${messageOf(cause)}`, { cause });
  }
}

/** Ends the command with EXEC_FAILED_STATUS. */
export class ExecError extends Error {
  readonly exitStatus = EXEC_FAILED_STATUS;
}

function describedProcess(bundle: string, flags: ExecVerbFlags, args: readonly string[]): Process {
  if (args.length === 0) throw new RuntimeError('INVALID_BUNDLE', 'process args cannot be empty');
  return validateProcess(execProcess(readBundle(bundle).config.process, { ...flags, args }));
}

function readProcess(path: string): Process {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new RuntimeError('INVALID_BUNDLE', `cannot read ${path}: ${messageOf(cause)}`, { path }, { cause });
  }
  try {
    return validateProcess(parseConfigText(text));
  } catch (cause) {
    throw new RuntimeError('INVALID_BUNDLE', `${path}: ${messageOf(cause)}`, { path }, { cause });
  }
}
