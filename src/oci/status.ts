// The states of a container and what may be asked of it in each (OCI runtime-spec 1.2, runtime.md).

/** runtime.md, "State": status. `paused` is runc's addition. */
export type Status = 'creating' | 'created' | 'running' | 'paused' | 'stopped';

/** Whether a container has an init, and processes can be looked at and put into it. */
export function hasInit(status: Status): boolean {
  return status !== 'creating' && status !== 'stopped';
}

/** runtime.md, "Start": an error, and no effect, unless the container is `created`. */
export function canStart(status: Status): boolean {
  return status === 'created';
}

/** runtime.md, "Kill": an error, and no effect, unless the container is `created` or `running`. */
export function canKill(status: Status): boolean {
  return hasInit(status);
}

/** runtime.md, "Delete": only what is `stopped`. As in runc, one that never started is killed and deleted as well. */
export function canDelete(status: Status): boolean {
  return status === 'stopped' || status === 'created';
}

/** How far the life of a container has been taken: what is written down. Whether it ended is seen from its process. */
export type Phase = 'creating' | 'created' | 'started';

/** runc: only what is `created` or `running`. */
export function canPause(status: Status): boolean {
  return status === 'created' || status === 'running';
}

const STATUS_OF_PHASE = { creating: 'creating', created: 'created', started: 'running' } as const;

/**
 * @param alive whether the process lives that stands for the container: its creator while `creating`, then its init
 * @param paused whether it was paused since
 */
export function statusOf(phase: Phase, alive: boolean, paused = false): Status {
  if (!alive) return 'stopped';
  return paused ? 'paused' : STATUS_OF_PHASE[phase];
}
