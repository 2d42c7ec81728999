// How many files may be open: the agent holds some for every process of every container, and they must not inherit that.
import * as abi from './linux/abi.gen.ts';
import { isErrno } from './linux/call.ts';
import { readLimit, setLimit } from './linux/process.ts';

const NAME = 'RLIMIT_NOFILE';
const NOFILE = abi.RLIMITS[NAME] ?? 0;
/** For the agent: eight for each of thousands of processes. */
const AGENT_SOFT = 65_536;
/** For containers that set no limit of their own: what service managers give. Old programs loop over all there may be. */
const CONTAINER_SOFT = 1024;
const HARD = 524_288;

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
