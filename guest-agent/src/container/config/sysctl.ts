// linux.sysctl (OCI runtime-spec 1.2, config-linux, "Sysctl").
import { StatusError } from '../../../../src/protocol/status.ts';
import type { JsonObject } from './json.ts';
import type { ContainerPlan } from './plan.ts';

const SYSCTL_IPC = /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\..+)$/;
/** Of a namespace of the container's own, or of the machine, whose network is the container's alone. */
const SYSCTL_NET = /^net\..+$/;

/** @returns names as paths below /proc/sys, and values. @throws StatusError for what is not the container's own; runc's texts */
export function parseSysctl(
  linux: JsonObject | undefined,
  namespaces: ContainerPlan['namespaces'],
): [path: string, value: string][] {
  const object = linux?.object('sysctl');
  return (object?.names ?? []).map((name) => {
    const path = pathOf(name);
    const problem = problemOf(path.replaceAll('/', '.'), namespaces);
    if (problem !== undefined) {
      throw new StatusError('INVALID_ARGUMENT', `config.json: sysctl "${name}" ${problem}`);
    }
    return [path, object?.requiredString(name) ?? ''];
  });
}

function problemOf(dotted: string, namespaces: ContainerPlan['namespaces']): string | undefined {
  const unknown = 'is not in a separate kernel namespace';
  // Nothing climbs out of /proc/sys.
  if (dotted.startsWith('.') || dotted.includes('..')) return unknown;
  if (SYSCTL_IPC.test(dotted)) return namespaces.has('ipc') ? undefined : 'is not allowed in the hosts ipc namespace';
  if (SYSCTL_NET.test(dotted)) return undefined;
  if (!namespaces.has('uts')) return unknown;
  if (dotted === 'kernel.hostname') return 'is not allowed as it conflicts with the OCI "hostname" field';
  return dotted === 'kernel.domainname' ? undefined : unknown;
}

/**
 * sysctl.d(5): the first separator decides. After a dot, dots separate and a slash stands for a dot in a name (of a network
 * interface); after a slash, names are paths.
 */
function pathOf(name: string): string {
  if (/^[^./]*\//.test(name)) return name;
  return name.replaceAll(/[./]/g, (separator) => (separator === '.' ? '/' : '.'));
}
