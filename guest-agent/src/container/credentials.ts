// Who a process is and what it may do. Applied last, in the order that the kernel's rules demand.
import * as abi from '../linux/abi.gen.ts';
import { isErrno, SystemError } from '../linux/call.ts';
import { isDirectory, requireExecutable, statusOf, tryGiveTo } from '../linux/file.ts';
import { changeDirectory, isInsideRoot } from '../linux/mount.ts';
import { isCapabilityKnown, prctl, setCapabilities, setIds, setLimit, setUmask } from '../linux/process.ts';
import { setPersonality } from '../linux/scheduling.ts';
import { installSeccomp } from '../linux/seccomp.ts';
import type { CapabilityPlan, ProcessPlan } from './config/plan.ts';
import { homeOf } from './home.ts';
import { applyScheduling } from './scheduling.ts';

const STANDARD_STREAMS = [0, 1, 2];

/** Limits, user, working directory and capabilities of a process that is already in its root. @throws SystemError */
export function applyCredentials(plan: ProcessPlan): void {
  for (const limit of plan.limits) setLimit(limit.resource, limit.name, limit.soft, limit.hard);
  if (plan.noNewPrivileges) prctl('PR_SET_NO_NEW_PRIVS', abi.PR_SET_NO_NEW_PRIVS, 1);
  applyScheduling(plan.scheduler, plan.ioPriority);
  // A plain user must be able to open /dev/stdout again. Not all of them can be given away: that is fine.
  for (const fd of STANDARD_STREAMS) if (plan.uid !== 0) tryGiveTo(fd, plan.uid);
  const entered = enterDirectory(plan.cwd, false);
  dropBoundingSet(plan.capabilities.bounding);
  // Without no_new_privs it takes CAP_SYS_ADMIN: what follows is what profiles have to allow, no more than with runc.
  if (plan.seccomp !== undefined && !plan.noNewPrivileges) installSeccomp(plan.seccomp);
  prctl('PR_SET_KEEPCAPS', abi.PR_SET_KEEPCAPS, 1);
  setIds(plan.uid, plan.gid, plan.additionalGids);
  // A directory that only the user may enter: on a file system shared by the host, for instance.
  if (!entered) enterDirectory(plan.cwd, true);
  // Whatever link in the container led there: a directory of the guest's own would be a way out.
  if (!isInsideRoot()) {
    throw new Error(
      'current working directory is outside of container mount namespace root -- possible container breakout detected',
    );
  }
  prctl('PR_SET_KEEPCAPS', abi.PR_SET_KEEPCAPS, 0);
  const { effective, permitted, inheritable, ambient } = plan.capabilities;
  setCapabilities(effective, permitted, inheritable);
  raiseAmbient(ambient);
  setUmask(plan.umask);
  if (plan.personality !== undefined) setPersonality(plan.personality);
}

function enterDirectory(cwd: string, last: boolean): boolean {
  try {
    changeDirectory(cwd);
    return true;
  } catch (error) {
    if (!last && isErrno(error, abi.EACCES, abi.EPERM)) return false;
    const reason = error instanceof SystemError ? error.reason : String(error);
    throw new Error(`chdir to cwd (${JSON.stringify(cwd)}) set in config.json failed: ${reason}`, { cause: error });
  }
}

function dropBoundingSet(bounding: bigint): void {
  for (let capability = 0; capability < 64; capability++) {
    // The kernel knows fewer than 64 and says so.
    if (!isCapabilityKnown(capability)) return;
    if ((bounding & (1n << BigInt(capability))) === 0n) {
      prctl(`PR_CAPBSET_DROP ${capability}`, abi.PR_CAPBSET_DROP, capability);
    }
  }
}

function raiseAmbient(ambient: CapabilityPlan['ambient']): void {
  prctl('PR_CAP_AMBIENT_CLEAR_ALL', abi.PR_CAP_AMBIENT, abi.PR_CAP_AMBIENT_CLEAR_ALL);
  for (let capability = 0; capability < 64; capability++) {
    if ((ambient & (1n << BigInt(capability))) === 0n) continue;
    prctl(`PR_CAP_AMBIENT_RAISE ${capability}`, abi.PR_CAP_AMBIENT, abi.PR_CAP_AMBIENT_RAISE, capability);
  }
}

/** The environment, with HOME added from the container's /etc/passwd where it is missing, as runc does. */
export function environmentOf(plan: ProcessPlan): string[] {
  if (plan.env.some((entry) => entry.startsWith('HOME=') && entry !== 'HOME=')) return [...plan.env];
  const others = plan.env.filter((entry) => !entry.startsWith('HOME='));
  return [...others, `HOME=${homeOf(plan.uid)}`];
}

/**
 * Finds the program to run, as the user that will run it. The texts are runc's (Go's os/exec), which callers match.
 * @throws Error with such a text
 */
export function findProgram(name: string, env: readonly string[]): string {
  if (name.includes('/')) {
    const problem = executableProblem(name);
    if (problem !== undefined) throw new Error(`exec: ${JSON.stringify(name)}: ${problem}`);
    return name;
  }
  const path = env.findLast((entry) => entry.startsWith('PATH='))?.slice('PATH='.length) ?? '';
  for (const directory of path === '' ? [] : path.split(':')) {
    const candidate = directory === '' ? `./${name}` : `${directory}/${name}`;
    if (executableProblem(candidate) !== undefined) continue;
    if (candidate.startsWith('/')) return candidate;
    throw new Error(`exec: ${JSON.stringify(name)}: cannot run executable found relative to current directory`);
  }
  throw new Error(`exec: ${JSON.stringify(name)}: executable file not found in $PATH`);
}

function executableProblem(path: string): string | undefined {
  try {
    if (isDirectory(statusOf(path))) return 'is a directory';
    requireExecutable(path);
    return undefined;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return error.details['call'] === 'stat' ? error.message : error.reason;
  }
}
