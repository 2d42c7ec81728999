// The OCI process object: a container's own, or that of an exec.
import { StatusError } from '../../../../src/protocol/status.ts';
import * as abi from '../../linux/abi.gen.ts';
import { type JsonObject, lookUp } from './json.ts';
import type { CapabilityPlan, LimitPlan, ProcessPlan } from './plan.ts';
import { warn } from './problems.ts';

/** Reads an OCI process object: the config's own, or that of an exec. */
export function parseProcess(process: JsonObject, warnings: string[]): ProcessPlan {
  warn(warnings, process, 'apparmorProfile', 'the guest kernel has no AppArmor');
  warn(warnings, process, 'selinuxLabel', 'the guest kernel has no SELinux');
  for (const name of ['scheduler', 'ioPriority', 'execCPUAffinity']) warn(warnings, process, name, 'not supported yet');
  const args = process.strings('args');
  if (args.length === 0) throw new StatusError('INVALID_ARGUMENT', 'config.json: process.args must not be empty');
  const cwd = process.requiredString('cwd');
  if (!cwd.startsWith('/'))
    throw new StatusError('INVALID_ARGUMENT', `config.json: process.cwd "${cwd}" must be absolute`);
  const user = process.object('user');
  return {
    args,
    env: process.strings('env'),
    cwd,
    uid: user?.number('uid') ?? 0,
    gid: user?.number('gid') ?? 0,
    additionalGids: user?.numbers('additionalGids') ?? [],
    umask: user?.number('umask') ?? 0o022,
    capabilities: parseCapabilities(process.object('capabilities'), warnings),
    limits: process.objects('rlimits').map(parseLimit),
    noNewPrivileges: process.boolean('noNewPrivileges'),
    oomScoreAdj: process.number('oomScoreAdj') ?? 0,
    terminal: process.boolean('terminal'),
  };
}

function parseCapabilities(object: JsonObject | undefined, warnings: string[]): CapabilityPlan {
  const set = (name: string): bigint => {
    let mask = 0n;
    for (const capability of object?.strings(name) ?? []) {
      const number = lookUp(abi.CAPABILITIES, capability);
      // OCI runtime-spec 1.2, config, "capabilities": a value that cannot be mapped must be logged as a warning.
      if (number === undefined) warnings.push(`process.capabilities.${name}: ${capability} is not known`);
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

function parseLimit(limit: JsonObject): LimitPlan {
  const name = limit.requiredString('type');
  const resource = lookUp(abi.RLIMITS, name);
  if (resource === undefined) {
    throw new StatusError(
      'INVALID_ARGUMENT',
      `config.json: ${limit.pathOf('type')} "${name}" is no limit that Linux knows`,
    );
  }
  return { name, resource, soft: limit.requiredNumber('soft'), hard: limit.requiredNumber('hard') };
}
