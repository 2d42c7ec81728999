// Making a process in namespaces: new ones, and those that are there already.
import { decodeUtf8, encodeUtf8 } from 'tskata-sys';
import { messageOf } from '../../../src/lib/errors.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import * as abi from '../linux/abi.gen.ts';
import { isErrno } from '../linux/call.ts';
import { close, fileSystemMagic, open, openInRoot, pathOfFd, tryRead, withFd, writeAll } from '../linux/file.ts';
import { namespaceTypeOf } from '../linux/namespace.ts';
import { exit, fork, setNamespace, waitForChild } from '../linux/process.ts';
import { pipe, setNonBlocking } from '../linux/socket.ts';
import type { ContainerPlan, NamespaceKind } from './config/plan.ts';

const FLAGS: Readonly<Record<NamespaceKind, number>> = {
  user: abi.CLONE_NEWUSER,
  mount: abi.CLONE_NEWNS,
  pid: abi.CLONE_NEWPID,
  network: abi.CLONE_NEWNET,
  ipc: abi.CLONE_NEWIPC,
  uts: abi.CLONE_NEWUTS,
  cgroup: abi.CLONE_NEWCGROUP,
  time: abi.CLONE_NEWTIME,
};

/** CLONE_NEW* of all of these namespaces but some. */
export function namespaceFlags(kinds: Iterable<NamespaceKind>, ...except: NamespaceKind[]): number {
  let flags = 0;
  for (const kind of kinds) if (!except.includes(kind)) flags |= FLAGS[kind];
  return flags;
}

/** A namespace that a container is to join. */
export interface OpenNamespace {
  readonly kind: NamespaceKind;
  readonly path: string;
  readonly fd: number;
}

/** Opens the namespaces that a plan joins. @throws StatusError, and none is open then */
export function openNamespaces(namespaces: ContainerPlan['namespaces']): OpenNamespace[] {
  const opened: OpenNamespace[] = [];
  try {
    for (const [kind, path] of namespaces) {
      if (path !== undefined) opened.push({ kind, path, fd: openNamespace(kind, path) });
    }
    return opened;
  } catch (error) {
    closeNamespaces(opened);
    throw error;
  }
}

export function closeNamespaces(namespaces: readonly OpenNamespace[]): void {
  for (const { fd } of namespaces) close(fd);
}

/** A process's own view of its namespaces, in the guest's procfs. */
const PROC_PATH = /^\/proc\/[1-9][0-9]*\/ns\/[a-z]+$/;
/** Where namespaces may be bound, to outlive their processes. */
const BOUND_PATH = '/run/tskata/';

function openNamespace(kind: NamespaceKind, path: string): number {
  const refuse = (problem: string, cause?: unknown): StatusError =>
    new StatusError('INVALID_ARGUMENT', `config.json: the ${kind} namespace ${path} ${problem}`, { path }, { cause });
  if (!PROC_PATH.test(path) && !path.startsWith(BOUND_PATH)) {
    throw refuse(`cannot be joined: give /proc/PID/ns/NAME of a process of the guest, or a path below ${BOUND_PATH}`);
  }
  try {
    const fd = PROC_PATH.test(path) ? open(path, abi.O_RDONLY) : openBound(path);
    const type = fd === undefined ? undefined : namespaceTypeOf(fd);
    if (fd !== undefined && type === FLAGS[kind]) return fd;
    if (fd !== undefined) close(fd);
    throw refuse(type === undefined ? 'is no namespace' : 'is a namespace of another kind');
  } catch (error) {
    if (error instanceof StatusError) throw error;
    const gone = isErrno(error, abi.ENOENT, abi.ESRCH) && PROC_PATH.test(path);
    throw refuse(gone ? 'is not there: its process has ended' : `cannot be opened: ${messageOf(error)}`, error);
  }
}

/** Opens a file if it is a namespace. A container may write below there: no link is followed, and nothing else is opened. */
function openBound(path: string): number | undefined {
  return withFd(open('/', abi.O_PATH | abi.O_DIRECTORY), (root) =>
    withFd(openInRoot(root, path, abi.O_PATH, { followLinks: false }), (handle) =>
      fileSystemMagic(handle, path) === abi.NSFS_MAGIC ? open(pathOfFd(handle), abi.O_RDONLY) : undefined,
    ),
  );
}

/**
 * Makes a container's first process: in new namespaces, and in those that it joins. Both processes return from it, like
 * from `fork`. What the process does for itself when it has been made: cgroup and time namespaces.
 * @param joined what `openNamespaces` gave
 * @throws StatusError, SystemError
 */
export function forkIntoNamespaces(
  namespaces: ContainerPlan['namespaces'],
  joined: readonly OpenNamespace[],
  cgroupFd: number,
): number {
  const fresh = [...namespaces.keys()].filter((kind) => namespaces.get(kind) === undefined);
  // The kernel makes the user namespace first and lets it own the others. (clone(2), CLONE_NEWUSER)
  const flags = namespaceFlags(fresh, 'cgroup', 'time');
  const entered = joined.filter(({ kind }) => kind !== 'cgroup');
  if (entered.length === 0) return fork(flags, { cgroupFd });
  // The user namespace comes last: who is in it has no rights over the guest's others any more.
  entered.sort((one, other) => Number(one.kind === 'user') - Number(other.kind === 'user'));
  return forkFromWithin(entered, flags, cgroupFd);
}

/**
 * A process can enter a user namespace, but not come back, and only its children are in a pid namespace that it enters: a
 * process between goes there and makes the one that is wanted, as its brother. It is not in the container's cgroup, which
 * may allow one process only.
 */
function forkFromWithin(entered: readonly OpenNamespace[], flags: number, cgroupFd: number): number {
  const [readEnd, writeEnd] = pipe();
  const between = fork(0);
  if (between === 0) {
    let answer: { pid: number } | { problem: string };
    try {
      for (const { kind, path, fd } of entered) setNamespace(fd, FLAGS[kind], `${kind} namespace ${path}`);
      const pid = fork(flags, { cgroupFd, sibling: true });
      if (pid === 0) return 0;
      answer = { pid };
    } catch (error) {
      answer = { problem: problemOf(error, entered) };
    }
    writeAll(writeEnd, encodeUtf8(JSON.stringify(answer)), 'answer');
    exit(0);
  }
  close(writeEnd);
  return withFd(readEnd, () => {
    waitForChild(between);
    // The new process has the other end too: at this moment the answer is there, or never will be.
    setNonBlocking(readEnd);
    const bytes = new Uint8Array(4096);
    const length = Math.max(0, tryRead(readEnd, bytes));
    const answer = length === 0 ? {} : JSON.parse(decodeUtf8(bytes.subarray(0, length)));
    if (typeof answer.pid === 'number') return answer.pid;
    const problem = answer.problem ?? 'the process that was to enter them has ended';
    throw new StatusError('FAILED_PRECONDITION', `cannot join namespaces: ${problem}`);
  });
}

function problemOf(error: unknown, entered: readonly OpenNamespace[]): string {
  const pid = entered.find(({ kind }) => kind === 'pid');
  // pid_namespaces(7): no process can be made in it any more once its first one has ended; fork(2) fails with ENOMEM.
  if (pid !== undefined && isErrno(error, abi.ENOMEM)) {
    return `the first process of the pid namespace ${pid.path} has ended, and the namespace with it`;
  }
  return messageOf(error);
}
