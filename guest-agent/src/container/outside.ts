// What of a new process's set-up only the guest's root may do, and so not a process that is in a user namespace: the agent
// does it for it, on /proc/PID. The process waits meanwhile, so that the pid is its own.
import { messageOf } from '../../../src/lib/errors.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import * as abi from '../linux/abi.gen.ts';
import { isErrno } from '../linux/call.ts';
import { changeOwner, open, statusOfFd, typeOf, withFd, writeText } from '../linux/file.ts';
import { type IdRange, outerId } from '../linux/id-map.ts';
import { readIdMap } from '../linux/namespace.ts';
import { setLimit } from '../linux/process.ts';
import type { ContainerPlan, ProcessPlan, TimeOffset } from './config/plan.ts';

/** For a process that has just come into its container's new namespaces. @throws StatusError */
export function settleNamespaces(pid: number, plan: ContainerPlan): void {
  const { namespaces, userNamespace } = plan;
  if (plan.timeOffsets.length > 0) setTimeOffsets(pid, plan.timeOffsets);
  if (userNamespace === undefined) return;
  for (const [file, mappings] of [
    ['uid_map', userNamespace.uidMappings],
    ['gid_map', userNamespace.gidMappings],
  ] as const) {
    if (namespaces.get('user') === undefined) setMappings(pid, file, mappings);
    else if (mappings.length > 0) requireMappings(pid, file, mappings);
  }
  writeText(`/proc/${pid}/oom_score_adj`, String(plan.process.oomScoreAdj));
}

/** For a process in a user namespace that is about to become its user. @throws StatusError, SystemError */
export function settleUser(pid: number, plan: ProcessPlan): void {
  const uid = outerId(readIdMap(pid, 'uid_map'), plan.uid);
  const groups = readIdMap(pid, 'gid_map');
  const root = outerId(groups, 0);
  const problem = uid === undefined ? 'uid' : outerId(groups, plan.gid) === undefined ? 'gid' : undefined;
  if (uid === undefined || root === undefined || problem !== undefined) {
    throw new StatusError('INVALID_ARGUMENT', `cannot set ${problem} to unmapped user in user namespace`);
  }
  // A pipe of the guest's root would be nobody's in there: its user could not open /dev/stdout again.
  for (const stream of [0, 1, 2]) {
    const path = `/proc/${pid}/fd/${stream}`;
    withFd(open(path, abi.O_PATH), (fd) => {
      if (typeOf(statusOfFd(fd, path)) === abi.S_IFIFO) changeOwner(fd, uid, root, path);
    });
  }
  for (const { resource, name, soft, hard } of plan.limits) setLimit(resource, name, soft, hard, pid);
}

/** user_namespaces(7), "Defining user and group ID mappings" */
export function setMappings(pid: number, file: string, mappings: readonly IdRange[]): void {
  const lines = mappings.map(({ inner, outer, size }) => `${inner} ${outer} ${size}\n`);
  refine(
    () => writeText(`/proc/${pid}/${file}`, lines.join('')),
    `the kernel refuses linux.${fieldOf(file)}: at most 340 ranges, in a page of text, and none may overlap on either side`,
  );
}

/** Engines say both, the namespace and what it has, and runc lets them as long as that is true. */
function requireMappings(pid: number, file: 'uid_map' | 'gid_map', mappings: readonly IdRange[]): void {
  const found = readIdMap(pid, file);
  const isSame = (one: IdRange): boolean =>
    found.some(({ inner, outer, size }) => inner === one.inner && outer === one.outer && size === one.size);
  if (found.length === mappings.length && mappings.every(isSame)) return;
  throw new StatusError(
    'INVALID_ARGUMENT',
    `config.json: linux.${fieldOf(file)} is not what the user namespace to join has: leave it out, or make it the same`,
  );
}

function fieldOf(file: string): string {
  return file === 'uid_map' ? 'uidMappings' : 'gidMappings';
}

/** time_namespaces(7), "/proc/PID/timens_offsets" */
function setTimeOffsets(pid: number, offsets: readonly TimeOffset[]): void {
  const lines = offsets.map(({ clock, seconds, nanoseconds }) => `${clock} ${seconds} ${nanoseconds}\n`);
  refine(
    () => writeText(`/proc/${pid}/timens_offsets`, lines.join('')),
    'the kernel refuses linux.timeOffsets: no clock may come before zero or after 146 years',
  );
}

function refine(action: () => void, problem: string): void {
  try {
    action();
  } catch (cause) {
    if (!isErrno(cause, abi.EINVAL, abi.ERANGE, abi.EPERM)) throw cause;
    throw new StatusError('INVALID_ARGUMENT', `config.json: ${problem} (${messageOf(cause)})`, {}, { cause });
  }
}
