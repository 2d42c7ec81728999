// linux.resources as files of cgroup v2 (OCI runtime-spec 1.2, config-linux, "Control groups").
import { StatusError } from '../../../../src/protocol/status.ts';
import type { JsonObject } from './json.ts';

/** cgroup v2 for "no limit" (Documentation/admin-guide/cgroup-v2.rst). */
const limitText = (value: number): string => (value < 0 ? 'max' : String(value));

/** Turns cgroup v1 style resources into files of cgroup v2. */
export function parseResources(resources: JsonObject): [string, string][] {
  const files: [string, string][] = [];
  const memory = resources.object('memory');
  // Zero has always meant "not set" to runc and its callers.
  const limit = memory?.number('limit') || undefined;
  const swap = memory?.number('swap') || undefined;
  if (limit !== undefined) files.push(['memory.max', limitText(limit)]);
  // v1's value is memory and swap together, v2's is swap alone (OCI runtime-spec 1.2, config-linux, "Memory").
  if (swap !== undefined) {
    if (swap >= 0 && limit !== undefined && limit > swap) {
      throw new StatusError('INVALID_ARGUMENT', 'config.json: linux.resources.memory.swap must not be below its limit');
    }
    files.push(['memory.swap.max', limitText(swap < 0 || limit === undefined ? swap : swap - Math.max(limit, 0))]);
  }
  const reservation = memory?.number('reservation');
  if (reservation !== undefined) files.push(['memory.low', limitText(reservation)]);
  const pids = resources.object('pids')?.number('limit');
  if (pids !== undefined && pids !== 0) files.push(['pids.max', limitText(pids)]);
  const cpu = resources.object('cpu');
  const quota = cpu?.number('quota');
  const period = cpu?.number('period');
  if (quota !== undefined || period !== undefined) {
    const quotaText = quota === undefined || quota <= 0 ? 'max' : String(quota);
    files.push(['cpu.max', period === undefined || period === 0 ? quotaText : `${quotaText} ${period}`]);
  }
  const shares = cpu?.number('shares');
  if (shares !== undefined && shares !== 0) files.push(['cpu.weight', String(weightOfShares(shares))]);
  for (const [name, file] of [
    ['cpus', 'cpuset.cpus'],
    ['mems', 'cpuset.mems'],
  ] as const) {
    const value = cpu?.string(name);
    if (value !== undefined && value !== '') files.push([file, value]);
  }
  const unified = resources.object('unified');
  for (const name of unified?.names ?? []) {
    if (!/^[a-z0-9_]+(\.[a-z0-9_]+)+$/i.test(name)) {
      throw new StatusError('INVALID_ARGUMENT', `config.json: linux.resources.unified: "${name}" is no cgroup file`);
    }
    files.push([name, unified?.requiredString(name) ?? '']);
  }
  return files;
}

/** Maps v1's shares (2 to 262144) onto v2's weight (1 to 10000), as runc 1.1 does. */
function weightOfShares(shares: number): number {
  const bounded = Math.min(262144, Math.max(2, shares));
  return 1 + Math.floor(((bounded - 2) * 9999) / 262142);
}
