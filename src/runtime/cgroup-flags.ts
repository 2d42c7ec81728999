// What the command line says of control groups.
import { readFileSync } from 'node:fs';

export interface CgroupFlags {
  /** `--systemd-cgroup` */
  readonly systemdCgroup: boolean;
  /** `--rootless`, decided: whether a caller without rights to control groups does without what was not asked for. */
  readonly rootless: boolean;
}

/** runc's rule for `--rootless=auto`: whoever is not root of the host itself. */
export function isRootless(flag: string): boolean {
  if (flag !== 'auto') return flag === 'true';
  return process.geteuid?.() !== 0 || isInUserNamespace();
}

/** The first user namespace maps every user to itself (user_namespaces(7)). */
function isInUserNamespace(): boolean {
  return readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/).join(' ') !== '0 0 4294967295';
}
