// How many files may be open: the agent holds some for every process of every container, and they must not inherit that.
import { StatusError } from '../../src/protocol/status.ts';
import * as abi from './linux/abi.gen.ts';
import { call, isErrno, structure } from './linux/call.ts';
import { readLimit, setLimit } from './linux/process.ts';

const NAME = 'RLIMIT_NOFILE';
const NOFILE = abi.RLIMITS[NAME] ?? 0;
/** For the agent: eight for each of thousands of processes. */
const AGENT_SOFT = 65_536;
/** For containers that set no limit of their own: what service managers give. Old programs loop over all there may be. */
const CONTAINER_SOFT = 1024;
const HARD = 524_288;
/**
 * Of every so many descriptors one is kept: where no more are left nothing new is begun, so that what was begun can be
 * brought to its end. Connections are taken longer than processes are made: the streams of those that run need them.
 */
const ONE_KEPT_OF = 16;
/** At least so many are kept: more than one process takes. */
const KEPT_MIN = 32;

export function raiseOpenFileLimit(): void {
  try {
    setLimit(NOFILE, NAME, AGENT_SOFT, HARD);
  } catch (error) {
    // Outside of a guest somebody else may have set the limit that holds for us.
    if (!isErrno(error, abi.EPERM)) throw error;
    const { hard } = readLimit(NOFILE, NAME);
    setLimit(NOFILE, NAME, Math.min(hard, AGENT_SOFT), hard);
  }
}

/** In a new process, before its own limits are set. */
export function restoreOpenFileLimit(): void {
  const { hard } = readLimit(NOFILE, NAME);
  setLimit(NOFILE, NAME, Math.min(hard, CONTAINER_SOFT), hard);
}

/** How many more files may be opened. Since Linux 6.2 the size of /proc/PID/fd is the number of open ones (proc(5)). */
function descriptorsLeft(soft: number): number {
  const { bytes, view } = structure(abi.SIZEOF_stat);
  call('stat', '/proc/self/fd', abi.SYS_newfstatat, abi.AT_FDCWD, '/proc/self/fd', bytes, 0);
  return soft - Number(view.getBigUint64(abi.OFFSETOF_stat_st_size, true));
}

/** Before a process is made. @throws StatusError RESOURCE_EXHAUSTED when descriptors are short */
export function requireDescriptors(): void {
  const { soft } = readLimit(NOFILE, NAME);
  if (descriptorsLeft(soft) >= Math.max(KEPT_MIN, soft / ONE_KEPT_OF)) return;
  const message = 'too many open files in the agent: delete containers, or wait for processes to end';
  throw new StatusError('RESOURCE_EXHAUSTED', message);
}

/** Whether one more connection may be taken. */
export function mayConnect(): boolean {
  const { soft } = readLimit(NOFILE, NAME);
  return descriptorsLeft(soft) >= Math.max(KEPT_MIN, soft / ONE_KEPT_OF) / 2;
}
