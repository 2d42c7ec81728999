// The command line of the sandbox process, as `create` writes it and the process reads it: one argument, JSON.
import type { SandboxMachine } from './sandbox-vm.ts';

/** What a VM goes on with that is made from a snapshot. */
export interface SavedSandbox {
  /** Folder of the VM's snapshot. */
  readonly snapshot: string;
  /** What its container's part of the shared folder is called. */
  readonly sharedName: string;
  readonly bundle: string;
}

/** The line on the sandbox's standard input after which it outlives its starter. */
export const COMMIT_LINE = 'COMMIT';

export interface SandboxArguments {
  readonly id: string;
  readonly machine: SandboxMachine;
  readonly saved?: SavedSandbox;
  /** Whether the guest's console goes into the log. */
  readonly console: boolean;
  /** The guest's time from power-on to its agent's first call. */
  readonly dialTimeoutMs: number;
  /** When the command that starts it all was entered: CLOCK_MONOTONIC, nanoseconds. */
  readonly commandStartNs: bigint;
}

export function encodeSandboxArguments(options: SandboxArguments): string[] {
  return [JSON.stringify({ ...options, commandStartNs: String(options.commandStartNs) })];
}

/** @throws SyntaxError for what encodeSandboxArguments has not written */
export function parseSandboxArguments([text = '']: readonly string[]): SandboxArguments {
  const options = JSON.parse(text);
  return { ...options, commandStartNs: BigInt(options.commandStartNs) };
}
