// The rules of config.json (OCI runtime-spec 1.2, config.md and config-linux.md) that hold before anything is made.
import {
  absolutePath,
  boolean,
  type Check,
  ConfigError,
  integer,
  listOf,
  mapOf,
  nonEmptyString,
  object,
  oneOf,
  string,
  value,
} from './check.ts';
import { type Config, HOOK_POINTS, NAMESPACE_TYPES, type Process } from './config.ts';
import { seccomp } from './seccomp/check.ts';
import { resources } from './validate-resources.ts';

const U16_MAX = 0xffff;
const U32_MAX = 0xffff_ffff;
/** uid_t and gid_t of 2^32 - 1 mean "leave it alone" to the kernel (chown(2)). */
const ID_MAX = U32_MAX - 1;
/** time_namespaces(7): less than a second */
const NANOSECONDS_MAX = 999_999_999;
/** proc_pid_oom_score_adj(5) */
const OOM_SCORE_ADJ_MAX = 1000;

const i32 = integer(-(2 ** 31), 2 ** 31 - 1);
const nanoseconds = integer(0, Number.MAX_SAFE_INTEGER);
const id = integer(0, ID_MAX);
const capabilities = listOf(string);

/** config.md, "Process" and "POSIX process" */
const process: Check = object(
  { cwd: absolutePath, args: listOf(string, 1) },
  {
    terminal: boolean,
    consoleSize: object({ height: integer(0, U16_MAX), width: integer(0, U16_MAX) }),
    env: listOf(string),
    user: object({}, { uid: id, gid: id, umask: integer(0, 0o777), additionalGids: listOf(id) }),
    rlimits: listOf(object({ type: nonEmptyString, soft: limit(), hard: limit() })),
    capabilities: object(
      {},
      {
        bounding: capabilities,
        effective: capabilities,
        inheritable: capabilities,
        permitted: capabilities,
        ambient: capabilities,
      },
    ),
    noNewPrivileges: boolean,
    oomScoreAdj: integer(-OOM_SCORE_ADJ_MAX, OOM_SCORE_ADJ_MAX),
    apparmorProfile: string,
    selinuxLabel: string,
    // Which fields go together with which policy is the agent's to say, as the same holds for what is run later.
    scheduler: object(
      { policy: nonEmptyString },
      {
        nice: i32,
        priority: i32,
        flags: listOf(string),
        runtime: nanoseconds,
        deadline: nanoseconds,
        period: nanoseconds,
      },
    ),
    ioPriority: object({ class: nonEmptyString }, { priority: i32 }),
    execCPUAffinity: object({}, { initial: string, final: string }),
  },
);

/** rlim_t is 64 bits: its greatest value, RLIM_INFINITY, is beyond JavaScript's exact integers and arrives rounded. */
function limit(): Check {
  return value((found) => typeof found === 'number' && found >= 0 && found <= 2 ** 64, 'a whole number of 64 bits');
}

/** config.md, "POSIX-platform Hooks": a timeout is greater than zero. */
const hook = object(
  { path: absolutePath },
  { args: listOf(string), env: listOf(string), timeout: integer(1, U32_MAX) },
);

/** config-linux.md, "User namespace mappings" */
const idMappings = listOf(
  object({ containerID: integer(0, U32_MAX), hostID: integer(0, U32_MAX), size: integer(1, U32_MAX) }),
);

/** config-linux.md, "Offset for Time Namespace". Seconds are 64 bits; JSON.parse keeps 53 of them exactly. */
const timeOffset = object(
  {},
  { secs: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER), nanosecs: integer(0, NANOSECONDS_MAX) },
);

/** config.md, "Mounts". A relative destination is allowed, if discouraged: it counts from the root. */
const mount = object(
  { destination: nonEmptyString },
  { type: string, source: string, options: listOf(string), uidMappings: idMappings, gidMappings: idMappings },
);

/** config-linux.md, "Devices". Type and numbers are the same as mknod(2)'s. */
const device = object(
  { type: oneOf(['c', 'u', 'b', 'p']), path: absolutePath },
  { major: integer(0, U32_MAX), minor: integer(0, U32_MAX), fileMode: integer(0, U32_MAX), uid: id, gid: id },
);

/** config-linux.md, "Namespaces" and "Control groups" */
const linux = object(
  {},
  {
    namespaces: listOf(object({ type: oneOf(NAMESPACE_TYPES) }, { path: string })),
    uidMappings: idMappings,
    gidMappings: idMappings,
    timeOffsets: object({}, { monotonic: timeOffset, boottime: timeOffset }),
    cgroupsPath: string,
    rootfsPropagation: string,
    devices: listOf(device),
    personality: object({ domain: nonEmptyString }, { flags: listOf(string) }),
    resources,
    seccomp,
  },
);

const config = object(
  {
    ociVersion: value(
      (found) => typeof found === 'string' && /^1\.\d+\.\d+/.test(found),
      'a version 1.y.z of the OCI runtime specification',
    ),
    process,
    root: object({ path: nonEmptyString }, { readonly: boolean }),
  },
  {
    hostname: string,
    domainname: string,
    mounts: listOf(mount),
    hooks: object({}, Object.fromEntries(HOOK_POINTS.map((point) => [point, listOf(hook)]))),
    annotations: mapOf(string),
    linux,
  },
);

/** @throws ConfigError naming the path, what was found there and what is allowed */
export function validateConfig(found: unknown): Config {
  config(found, '');
  const valid = found as Config;
  // config-linux.md, "Namespaces", and config.md, "POSIX process": duplicates MUST be errors.
  rejectDuplicates(valid.linux?.namespaces, 'linux.namespaces');
  rejectDuplicates(valid.process.rlimits, 'process.rlimits');
  return valid;
}

/** @throws ConfigError as validateConfig does, for a process object by itself */
export function validateProcess(found: unknown): Process {
  process(found, 'process');
  const valid = found as Process;
  rejectDuplicates(valid.rlimits, 'process.rlimits');
  return valid;
}

function rejectDuplicates(list: readonly { readonly type: string }[] | null | undefined, path: string): void {
  const seen = new Set<string>();
  for (const [index, { type }] of (list ?? []).entries()) {
    if (seen.has(type)) throw new ConfigError(`${path}[${index}].type`, type, 'each type once');
    seen.add(type);
  }
}
