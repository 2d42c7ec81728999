// The state of a container as it is printed (OCI runtime-spec 1.2, runtime.md "State"), with runc's own additions.
import type { Status } from './status.ts';

/** What `state` prints, in this order. */
export interface State {
  readonly ociVersion: string;
  readonly id: string;
  /** Pid on the host of the process that stands for the container's init; 0 when it has stopped. */
  readonly pid: number;
  readonly status: Status;
  readonly bundle: string;
  /** runc's addition: the root file system's absolute path. */
  readonly rootfs: string;
  /** runc's addition: RFC 3339 with nanoseconds. */
  readonly created: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** runc's addition: the user's name; empty in `state`. */
  readonly owner: string;
}

/** runc's rule for container ids. */
const CONTAINER_ID = /^[\w+\-.]+$/;

/** Whether an id may be used: letters, digits and `_+-.`, and it names no folder but its own. */
export function isContainerId(id: string): boolean {
  return CONTAINER_ID.test(id) && id !== '.' && id !== '..';
}
