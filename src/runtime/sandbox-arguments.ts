// The command line of the sandbox process, as `create` writes it and the process reads it.
import { parseArgs } from 'node:util';

/** The line on the sandbox's standard input after which it outlives its starter. */
export const COMMIT_LINE = 'COMMIT';

export interface SandboxArguments {
  readonly id: string;
  readonly kernelPath: string;
  readonly initrdPath: string;
  readonly memoryMib: number;
  readonly cpus: number;
  /** Whether the guest's console goes into the log. */
  readonly console: boolean;
  /** When the command that starts it all was entered: CLOCK_MONOTONIC, nanoseconds. */
  readonly commandStartNs: bigint;
}

export function encodeSandboxArguments(options: SandboxArguments): string[] {
  return Object.entries(options).map(([name, value]) => `--${name}=${value}`);
}

const STRING = { type: 'string', default: '' } as const;

/** @throws TypeError for an option that is not known */
export function parseSandboxArguments(args: readonly string[]): SandboxArguments {
  const { values } = parseArgs({
    args: [...args],
    options: {
      id: STRING,
      kernelPath: STRING,
      initrdPath: STRING,
      memoryMib: STRING,
      cpus: STRING,
      console: STRING,
      commandStartNs: STRING,
    },
  });
  return {
    ...values,
    memoryMib: Number(values.memoryMib),
    cpus: Number(values.cpus),
    console: values.console === 'true',
    commandStartNs: BigInt(values.commandStartNs),
  };
}
