// linux.seccomp of config.json: the host compiles it, and sends the program beside the configuration.
import type { SeccompFilter } from '../../../../src/protocol/agent.gen.ts';
import { StatusError } from '../../../../src/protocol/status.ts';
import * as abi from '../../linux/abi.gen.ts';
import type { SeccompProgram } from '../../linux/seccomp.ts';
import type { JsonObject } from './json.ts';

/**
 * Checks the filter that came with a configuration. The kernel judges its instructions.
 * @throws StatusError INVALID_ARGUMENT for one that is none, and for a profile that nobody compiled: without its filter the
 *   container must not run
 */
export function parseSeccomp(
  linux: JsonObject | undefined,
  filter: SeccompFilter | undefined,
): SeccompProgram | undefined {
  if (filter === undefined) {
    if (!linux?.has('seccomp')) return undefined;
    throw new StatusError(
      'INVALID_ARGUMENT',
      'config.json: linux.seccomp came without its compiled filter: the host must compile it and send it as "seccomp"',
    );
  }
  const { program: instructions, flags } = filter;
  const count = instructions.length / abi.SIZEOF_sock_filter;
  if (!Number.isInteger(count) || count < 1 || count > abi.BPF_MAXINSNS) {
    throw new StatusError(
      'INVALID_ARGUMENT',
      `the seccomp filter has ${instructions.length} bytes: it must have 1 to ${abi.BPF_MAXINSNS} instructions of ${abi.SIZEOF_sock_filter} bytes`,
    );
  }
  return { instructions, flags };
}
