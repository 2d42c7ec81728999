// linux.sysctl (OCI runtime-spec 1.2, config-linux, "Sysctl").
import { StatusError } from '../../../../src/protocol/status.ts';
import type { JsonObject } from './json.ts';

/** Settings that belong to a namespace of the container (ipc) or to the machine's network, which is the container's. */
const SYSCTL_IPC = /^(kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)|fs\.mqueue\..+)$/;
const SYSCTL_NET = /^net\..+$/;

export function parseSysctl(linux: JsonObject | undefined): [string, string][] {
  const object = linux?.object('sysctl');
  return (object?.names ?? []).map((name) => {
    // sysctl(8) takes slashes as well; a name must not climb out of /proc/sys.
    const dotted = name.replaceAll('/', '.');
    if (dotted.includes('..') || !(SYSCTL_IPC.test(dotted) || SYSCTL_NET.test(dotted))) {
      throw new StatusError('INVALID_ARGUMENT', `config.json: sysctl "${name}" is not in a separate kernel namespace`);
    }
    return [name.includes('/') ? name : name.replaceAll('.', '/'), object?.requiredString(name) ?? ''];
  });
}
