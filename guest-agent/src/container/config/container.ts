// From an OCI config.json to a plan that can be carried out: parsed, checked, and told what is not supported.
// Source: OCI runtime-spec 1.2, config.md and config-linux.md.
import type { SeccompFilter } from '../../../../src/protocol/agent.gen.ts';
import { StatusError } from '../../../../src/protocol/status.ts';
import { parseHooks } from './hooks.ts';
import { type JsonObject, parseJsonObject } from './json.ts';
import { parseDevice, parseMount, parsePropagation } from './mounts.ts';
import { parseNamespaces } from './namespaces.ts';
import type { ContainerPlan, Parsed } from './plan.ts';
import { warn } from './problems.ts';
import { type IsCapabilityKnown, parseProcess } from './process.ts';
import { NO_RESOURCES, parseResources } from './resources.ts';
import { parsePersonality } from './scheduling.ts';
import { parseSeccomp } from './seccomp.ts';
import { parseSysctl } from './sysctl.ts';

/**
 * Reads a config.json.
 * @param filter what linux.seccomp was compiled to
 * @throws StatusError INVALID_ARGUMENT or UNIMPLEMENTED, naming the field
 */
export function parseConfig(text: string, isKnown: IsCapabilityKnown, filter?: SeccompFilter): Parsed<ContainerPlan> {
  const warnings: string[] = [];
  const config = parseJsonObject(text, 'config.json');
  const processObject = config.object('process');
  if (processObject === undefined) {
    throw new StatusError('INVALID_ARGUMENT', 'config.json: process is missing, and a container must run something');
  }
  const linux = config.object('linux');
  warn(warnings, config, 'vm', "the virtual machine is the runtime's to choose");
  warn(warnings, linux, 'mountLabel', 'the guest kernel has no SELinux');
  warn(warnings, linux, 'intelRdt', 'the guest has no such resource');
  warn(warnings, linux, 'netDevices', "network devices are the virtual machine's");
  warn(warnings, linux, 'memoryPolicy', 'the guest has one memory node');
  const resources = linux?.object('resources');
  const namespaces = parseNamespaces(linux);
  const plan: ContainerPlan = {
    process: {
      ...parseProcess(processObject, warnings, isKnown),
      personality: parsePersonality(linux, warnings),
      seccomp: parseSeccomp(linux, filter),
    },
    hooks: parseHooks(config, warnings),
    annotations: parseAnnotations(config),
    ...namespaces,
    hostname: config.string('hostname'),
    domainname: config.string('domainname'),
    readonlyRoot: config.object('root')?.boolean('readonly') ?? false,
    rootPropagation: parsePropagation(linux),
    mounts: config.objects('mounts').map((mount) => parseMount(mount, warnings)),
    devices: (linux?.objects('devices') ?? []).map(parseDevice),
    maskedPaths: linux?.strings('maskedPaths') ?? [],
    readonlyPaths: linux?.strings('readonlyPaths') ?? [],
    sysctl: parseSysctl(linux, namespaces.namespaces),
    resources: resources === undefined ? NO_RESOURCES : parseResources(resources, warnings),
  };
  for (const name of ['hostname', 'domainname'] as const) {
    if (plan[name] && !plan.namespaces.has('uts')) {
      throw new StatusError('INVALID_ARGUMENT', `config.json: unable to set ${name} without a private UTS namespace`);
    }
  }
  return { plan, warnings };
}

function parseAnnotations(config: JsonObject): Record<string, string> | undefined {
  const object = config.object('annotations');
  return object && Object.fromEntries(object.names.map((name) => [name, object.requiredString(name)]));
}
