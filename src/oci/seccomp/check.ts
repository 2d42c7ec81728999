// What linux.seccomp may be (OCI runtime-spec 1.2, config-linux.md, "Seccomp").
import { type Check, ConfigError, integer, listOf, nonEmptyString, object, oneOf, string, value } from '../check.ts';
import { SECCOMP_ACTIONS, SECCOMP_ARCHITECTURES, SECCOMP_FLAGS, SECCOMP_OPERATORS } from './names.ts';

/** Arguments of a system call: struct seccomp_data has six. */
const ARGUMENT_INDEX_MAX = 5;
/** MAX_ERRNO of the kernel: greater results are no errors to programs (include/linux/err.h). */
const MAX_ERRNO = 4095;
/** What SECCOMP_RET_DATA carries to a tracer. */
const TRACE_DATA_MAX = 0xffff;
const U64_MAX = 2n ** 64n - 1n;

const action: Check = (found, path) => {
  if (found === 'SCMP_ACT_NOTIFY') {
    const why = "the listener is a process of the host, and the guest's kernel cannot give it a descriptor";
    throw new ConfigError(path, found, `one of ${SECCOMP_ACTIONS.join(', ')}: ${why}`);
  }
  oneOf(SECCOMP_ACTIONS)(found, path);
};

/** What a number of 64 bits in JSON may be once `parseConfigText` has read it. */
const u64 = value(
  (found) =>
    typeof found === 'bigint' ? found >= 0n && found <= U64_MAX : Number.isSafeInteger(found) && Number(found) >= 0,
  'a whole number from 0 to 18446744073709551615',
);

const argument = object(
  { index: integer(0, ARGUMENT_INDEX_MAX), value: u64, op: oneOf(SECCOMP_OPERATORS) },
  { valueTwo: u64 },
);

const syscall: Check = (found, path) => {
  object({ names: listOf(nonEmptyString, 1), action }, { args: listOf(argument) })(found, path);
  const { action: name, errnoRet } = found as Record<string, unknown>;
  checkErrno(name, errnoRet, `${path}.errnoRet`);
};

/** "When the action doesn't support an errno, the runtime MUST print and error and fail." (`errnoRet`, `defaultErrnoRet`) */
function checkErrno(name: unknown, errno: unknown, path: string): void {
  if (errno === undefined || errno === null) return;
  if (name !== 'SCMP_ACT_ERRNO' && name !== 'SCMP_ACT_TRACE') {
    throw new ConfigError(path, errno, `nothing: ${name} has no errno`);
  }
  integer(0, name === 'SCMP_ACT_ERRNO' ? MAX_ERRNO : TRACE_DATA_MAX)(errno, path);
}

/** Checks linux.seccomp. One with neither a default action nor system calls is none, as in runc. */
export const seccomp: Check = (found, path) => {
  if (isNoSeccomp(found)) return;
  object(
    { defaultAction: action },
    {
      architectures: listOf(oneOf(SECCOMP_ARCHITECTURES)),
      flags: listOf(oneOf(SECCOMP_FLAGS)),
      listenerPath: string,
      listenerMetadata: string,
      syscalls: listOf(syscall),
    },
  )(found, path);
  const { defaultAction, defaultErrnoRet, listenerPath, listenerMetadata } = found as Record<string, unknown>;
  checkErrno(defaultAction, defaultErrnoRet, `${path}.defaultErrnoRet`);
  if (listenerMetadata && !listenerPath) {
    throw new ConfigError(`${path}.listenerMetadata`, listenerMetadata, 'nothing without a listenerPath');
  }
};

/** Whether linux.seccomp asks for nothing. */
export function isNoSeccomp(found: unknown): boolean {
  if (typeof found !== 'object' || found === null) return found === null || found === undefined;
  const { defaultAction, syscalls } = found as { defaultAction?: unknown; syscalls?: unknown };
  return !defaultAction && (!syscalls || (Array.isArray(syscalls) && syscalls.length === 0));
}
