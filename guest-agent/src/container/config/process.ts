// The OCI process object: a container's own, or that of an exec.
import { StatusError } from '../../../../src/protocol/status.ts';
import * as abi from '../../linux/abi.gen.ts';
import { type JsonObject, lookUp } from './json.ts';
import type { CapabilityPlan, LimitPlan, ProcessPlan } from './plan.ts';
import { warn } from './problems.ts';
import { parseAffinity, parseIoPriority, parseScheduler } from './scheduling.ts';

/** uid_t and gid_t of 2^32 - 1 mean "leave it alone" to the kernel (setresuid(2)): the process would stay root. */
const ID_MAX = 2 ** 32 - 2;
/** proc_pid_oom_score_adj(5) */
const OOM_SCORE_ADJ_MAX = 1000;
/** struct winsize has 16 bits for each. */
const CONSOLE_SIZE_MAX = 2 ** 16 - 1;
/** rlim_t has 64 bits; RLIM_INFINITY, all of them set, arrives rounded up. */
const LIMIT_MAX = 2 ** 64;
const UMASK_MAX = 0o777;
/** The umask that runc gives a process. */
const DEFAULT_UMASK = 0o022;

/** Whether the kernel that the process will run on has a capability of this number. */
export type IsCapabilityKnown = (capability: number) => boolean;

/** Reads an OCI process object: the config's own, or that of an exec. */
export function parseProcess(process: JsonObject, warnings: string[], isKnown: IsCapabilityKnown): ProcessPlan {
  warn(warnings, process, 'apparmorProfile', 'the guest kernel has no AppArmor');
  warn(warnings, process, 'selinuxLabel', 'the guest kernel has no SELinux');
  const args = process.strings('args');
  if (args.length === 0) throw new StatusError('INVALID_ARGUMENT', 'config.json: process.args must not be empty');
  const cwd = process.requiredString('cwd');
  if (!cwd.startsWith('/'))
    throw new StatusError('INVALID_ARGUMENT', `config.json: process.cwd "${cwd}" must be absolute`);
  // config, "User": user.username is for Windows.
  const user = process.object('user');
  const size = process.object('consoleSize');
  return {
    args,
    env: parseEnvironment(process),
    cwd,
    uid: user?.numberWithin('uid', 0, ID_MAX) ?? 0,
    gid: user?.numberWithin('gid', 0, ID_MAX) ?? 0,
    additionalGids: user?.numbersWithin('additionalGids', 0, ID_MAX) ?? [],
    umask: user?.numberWithin('umask', 0, UMASK_MAX) ?? DEFAULT_UMASK,
    capabilities: parseCapabilities(process.object('capabilities'), warnings, isKnown),
    limits: parseLimits(process),
    noNewPrivileges: process.boolean('noNewPrivileges'),
    // Not the agent's own, which keeps the OOM killer away from it: that of any other process of the guest.
    oomScoreAdj: process.numberWithin('oomScoreAdj', -OOM_SCORE_ADJ_MAX, OOM_SCORE_ADJ_MAX) ?? 0,
    scheduler: parseScheduler(process),
    ioPriority: parseIoPriority(process),
    affinity: parseAffinity(process),
    personality: undefined,
    seccomp: undefined,
    terminal: process.boolean('terminal'),
    consoleSize: size && {
      rows: size.numberWithin('height', 0, CONSOLE_SIZE_MAX) ?? 0,
      columns: size.numberWithin('width', 0, CONSOLE_SIZE_MAX) ?? 0,
    },
  };
}

/**
 * Reads the process object of an exec. What it leaves out is as in the container's own process: runc's rule, but for the
 * umask, which runc takes from the container whatever the exec says.
 */
export function parseExecProcess(
  process: JsonObject,
  container: ProcessPlan,
  warnings: string[],
  isKnown: IsCapabilityKnown,
): ProcessPlan {
  const plan = parseProcess(process, warnings, isKnown);
  const says = (name: string): boolean => process.isPresent(name);
  return {
    ...plan,
    umask: process.object('user')?.isPresent('umask') ? plan.umask : container.umask,
    capabilities: says('capabilities') ? plan.capabilities : container.capabilities,
    limits: plan.limits.length > 0 ? plan.limits : container.limits,
    noNewPrivileges: says('noNewPrivileges') ? plan.noNewPrivileges : container.noNewPrivileges,
    oomScoreAdj: says('oomScoreAdj') ? plan.oomScoreAdj : container.oomScoreAdj,
    scheduler: plan.scheduler ?? container.scheduler,
    ioPriority: plan.ioPriority ?? container.ioPriority,
    affinity: plan.affinity ?? container.affinity,
    personality: container.personality,
    seccomp: container.seccomp,
  };
}

/** Variables, each once: of those with the same name the last, as runc does. */
function parseEnvironment(process: JsonObject): string[] {
  const variables = new Map<string, string>();
  for (const variable of process.strings('env')) {
    const end = variable.indexOf('=');
    if (end <= 0) {
      const problem = end < 0 ? "missing '='" : 'name cannot be empty';
      throw new StatusError('INVALID_ARGUMENT', `invalid environment variable: ${problem}`);
    }
    const name = variable.slice(0, end);
    // Deleted first, so that it stands where the last one stood.
    variables.delete(name);
    variables.set(name, variable);
  }
  return [...variables.values()];
}

function parseCapabilities(
  object: JsonObject | undefined,
  warnings: string[],
  isKnown: IsCapabilityKnown,
): CapabilityPlan {
  const set = (name: string): bigint => {
    let mask = 0n;
    for (const capability of object?.strings(name) ?? []) {
      const number = lookUp(abi.CAPABILITIES, capability);
      // OCI runtime-spec 1.2, config, "capabilities": a value that cannot be mapped must be logged as a warning.
      if (number === undefined || !isKnown(number))
        warnings.push(`process.capabilities.${name}: ${capability} is not known`);
      else mask |= 1n << BigInt(number);
    }
    return mask;
  };
  const [inheritable, permitted, ambient] = [set('inheritable'), set('permitted'), set('ambient')];
  // capabilities(7): no capability can be ambient that is not both. runc goes on without it, and so do its users' files.
  const raisable = ambient & inheritable & permitted;
  if (raisable !== ambient) {
    warnings.push('process.capabilities.ambient: those that are not permitted and inheritable are left out');
  }
  return { bounding: set('bounding'), effective: set('effective'), inheritable, permitted, ambient: raisable };
}

/** config, "POSIX process": "If rlimits contains duplicated entries with same type, the runtime MUST generate an error". */
function parseLimits(process: JsonObject): LimitPlan[] {
  const seen = new Set<string>();
  return process.objects('rlimits').map((limit) => {
    const name = limit.requiredString('type');
    const resource = lookUp(abi.RLIMITS, name);
    if (resource === undefined || seen.has(name)) {
      const problem = resource === undefined ? 'is no limit that Linux knows' : 'is there already: each type once';
      throw new StatusError('INVALID_ARGUMENT', `config.json: ${limit.pathOf('type')} "${name}" ${problem}`);
    }
    seen.add(name);
    const value = (field: string): number => limit.numberWithin(field, 0, LIMIT_MAX) ?? limit.requiredNumber(field);
    return { name, resource, soft: value('soft'), hard: value('hard') };
  });
}
