// What runs in a process between fork and execve: first what every new process needs, then a container's init or an exec.
// It is a copy of the agent with one way out, execve or exit; nothing here may wait for the event loop.
import * as abi from '../linux/abi.gen.ts';
import { isErrno } from '../linux/call.ts';
import { close, open, openInRoot, readText, withFd, writeText } from '../linux/file.ts';
import { changeDirectoryToFd } from '../linux/mount.ts';
import {
  blockSignals,
  closeFrom,
  duplicateAbove,
  duplicateForSetUp,
  duplicateTo,
  execute,
  setDomainname,
  setHostname,
  setIds,
  setNamespace,
  setUmask,
  startSession,
  unshare,
} from '../linux/process.ts';
import { installSeccomp } from '../linux/seccomp.ts';
import { bringUp } from '../linux/socket.ts';
import { isTerminalMaster, openSlave, takeTerminal } from '../linux/terminal.ts';
import { restoreOpenFileLimit } from '../open-file-limit.ts';
import type { ChildStdio } from '../stdio/process-streams.ts';
import { ChildChannel } from './channel.ts';
import type { ContainerPlan, NamespaceKind, ProcessPlan } from './config/plan.ts';
import { applyCredentials, environmentOf, findProgram } from './credentials.ts';
import { bindConsole } from './devices.ts';
import { type HookState, runHooks } from './hooks.ts';
import type { MountSources } from './mount-sources.ts';
import { buildRoot, enterRoot } from './root-filesystem.ts';
import type { RootDirectory } from './root-path.ts';
import { applyAffinity } from './scheduling.ts';

/** Where the channel to the agent is in the new process. */
const CHANNEL_FD = 3;
/** Where what the process is to enter is: the container, by the pidfd of its init, or a cgroup namespace. */
const TARGET_FD = 4;
/** A number above those that descriptors are moved to. */
const SCRATCH_FD = 16;
/** The process's own is for its program; until then files are made with the modes that they are given. */
const HOOK_UMASK = 0o022;

/** Ends of what the agent made for the new process. */
export interface ChildDescriptors {
  readonly channel: number;
  readonly stdio: ChildStdio;
  /** A pidfd of the container's init for a process that joins it, a cgroup namespace for an init that joins one. */
  readonly target?: number | undefined;
  readonly sources?: MountSources;
}

/** Turns a fresh copy of the agent into a container's init. Never returns. */
export function runInit(
  descriptors: ChildDescriptors,
  plan: ContainerPlan,
  rootPath: string,
  cgroupPath: string,
  state: HookState,
): never {
  const channel = adopt(descriptors);
  try {
    // While it is the guest's root: to that of a user namespace the folders above may be closed.
    const place = open(rootPath, abi.O_PATH | abi.O_DIRECTORY);
    enterNamespaces(channel, plan, descriptors.target !== undefined);
    prepareProcess();
    // In a user namespace it is the agent that does this.
    if (plan.userNamespace === undefined) setOomScore(plan.process);
    for (const [name, value] of plan.sysctl) writeText(`/proc/sys/${name}`, value);
    if (plan.hostname) setHostname(plan.hostname);
    if (plan.domainname) setDomainname(plan.domainname);
    const root = buildRoot(place, plan, cgroupPath, sourcesOf(descriptors), (unfinished) => {
      // As with runc: all mounts stand, and a hook may still add its own.
      if (plan.hooks.createContainer.length > 0) changeDirectoryToFd(unfinished.fd, "the container's root");
      runHooks('createContainer', plan.hooks.createContainer, state, HOOK_UMASK);
      if (plan.process.terminal) giveTerminal(channel, openTerminalIn(unfinished), unfinished);
    });
    close(place);
    enterRoot(root, plan.rootPropagation);
    const run = readyProgram(channel, plan.process, plan.userNamespace !== undefined);
    channel.ask({ kind: 'ready' });
    runHooks('startContainer', plan.hooks.startContainer, state);
    return run();
  } catch (error) {
    return channel.fail(error);
  }
}

/** What an exec needs to know of the container it goes to. */
export interface ExecTarget {
  readonly pidFd: number;
  /** CLONE_NEW* of the namespaces to enter; the pid namespace is the parent's business. */
  readonly namespaceFlags: number;
  readonly hasUserNamespace: boolean;
  readonly cgroupPath: string;
  /** Pid of the container's init, in the agent's view. */
  readonly initPid: number;
}

/** Turns a fresh copy of the agent into one more process of a container. Never returns. */
export function runExec(descriptors: ChildDescriptors, plan: ProcessPlan, target: ExecTarget): never {
  const channel = adopt({ ...descriptors, target: target.pidFd });
  try {
    applyAffinity(plan.affinity, 'initial');
    joinCgroup(target.cgroupPath, target.initPid);
    applyAffinity(plan.affinity, 'final');
    prepareProcess();
    setOomScore(plan);
    // All at once: the kernel judges them by what this process was before, and its root becomes the container's.
    setNamespace(TARGET_FD, target.namespaceFlags, "the container's namespaces");
    close(TARGET_FD);
    if (target.hasUserNamespace) becomeRoot();
    if (plan.terminal) giveTerminal(channel, open('/dev/pts/ptmx', abi.O_RDWR | abi.O_NOCTTY), undefined);
    return readyProgram(channel, plan, target.hasUserNamespace)();
  } catch (error) {
    return channel.fail(error);
  }
}

/** Puts the descriptors in their places and closes all others: they belong to the agent and to other containers. */
function adopt({ channel, stdio, target, sources }: ChildDescriptors): ChildChannel {
  try {
    for (const [number, fd] of stdio.entries()) duplicateTo(fd, number);
    // Above everything in use, so that moving one does not overwrite the other.
    const wanted = [channel, ...(target === undefined ? [] : [target]), ...(sources?.values() ?? [])];
    const kept = wanted.map((fd) => duplicateAbove(fd, SCRATCH_FD + wanted.length));
    for (const [index, fd] of kept.entries()) duplicateForSetUp(fd, CHANNEL_FD + index);
    closeFrom(CHANNEL_FD + kept.length);
    return new ChildChannel(CHANNEL_FD);
  } catch (error) {
    return new ChildChannel(channel).fail(error);
  }
}

/** Where `adopt` has put the mounts that the agent made. */
function sourcesOf({ target, sources }: ChildDescriptors): MountSources {
  const first = target === undefined ? TARGET_FD : TARGET_FD + 1;
  return new Map([...(sources?.keys() ?? [])].map((index, position) => [index, first + position]));
}

/** Moves this process into the container's cgroup. */
function joinCgroup(cgroupPath: string, initPid: number): void {
  try {
    writeText(`${cgroupPath}/cgroup.procs`, '0');
  } catch (error) {
    if (!isErrno(error, abi.EBUSY)) throw error;
    // The container moved its processes into cgroups below its own (a service manager does): then ours must be there too.
    const path = /^0::(.*)$/m.exec(readText(`/proc/${initPid}/cgroup`))?.[1] ?? '';
    writeText(`/sys/fs/cgroup${path}/cgroup.procs`, '0');
  }
}

/** What of its namespaces a container's init must do itself. The kernel made most of them with it. */
function enterNamespaces(channel: ChildChannel, plan: ContainerPlan, joinsCgroup: boolean): void {
  const { namespaces, userNamespace } = plan;
  const isNew = (kind: NamespaceKind): boolean => namespaces.has(kind) && namespaces.get(kind) === undefined;
  // Its clocks can be set for as long as nobody is in it. (time_namespaces(7))
  if (isNew('time')) unshare(abi.CLONE_NEWTIME, 'time namespace');
  // Until its ids are mapped this process is nobody in a new user namespace.
  if (userNamespace !== undefined || plan.timeOffsets.length > 0) channel.ask({ kind: 'entered' });
  if (isNew('time')) {
    withFd(open('/proc/self/ns/time_for_children', abi.O_RDONLY), (fd) =>
      setNamespace(fd, abi.CLONE_NEWTIME, 'time namespace'),
    );
  }
  if (userNamespace !== undefined) becomeRoot();
  // The root of a new one is the cgroup that its first process is in: this one was made in the container's.
  if (joinsCgroup) {
    setNamespace(TARGET_FD, abi.CLONE_NEWCGROUP, 'cgroup namespace');
    close(TARGET_FD);
  } else if (isNew('cgroup')) {
    unshare(abi.CLONE_NEWCGROUP, 'cgroup namespace');
  }
  if (isNew('network')) bringUp('lo');
}

/** Becomes the root of its user namespace, whose files it can make; it has all capabilities there, whoever it is. */
function becomeRoot(): void {
  setIds(0, 0, []);
}

/** What must be done while the agent's own /proc is at hand. */
function prepareProcess(): void {
  startSession();
  setUmask(0);
  restoreOpenFileLimit();
}

function setOomScore(plan: ProcessPlan): void {
  writeText('/proc/self/oom_score_adj', String(plan.oomScoreAdj));
}

function openTerminalIn(root: RootDirectory): number {
  return openInRoot(root.fd, '/dev/pts/ptmx', abi.O_RDWR | abi.O_NOCTTY);
}

/** Hands the master to the agent and makes the slave this process's terminal, and /dev/console when there is a root to put it. */
function giveTerminal(channel: ChildChannel, master: number, root: RootDirectory | undefined): void {
  if (!isTerminalMaster(master)) throw new Error('/dev/pts/ptmx of the container is no pseudo-terminal multiplexer');
  const slave = openSlave(master);
  channel.ask({ kind: 'terminal', fd: master });
  close(master);
  if (root !== undefined) bindConsole(root, slave);
  takeTerminal(slave);
  for (const number of [0, 1, 2]) duplicateTo(slave, number);
  if (slave > 2) close(slave);
}

/** Becomes the user, finds the program, and gives the last step. */
function readyProgram(channel: ChildChannel, plan: ProcessPlan, hasUserNamespace: boolean): () => never {
  // Limits are raised with rights in the guest's own user namespace only.
  if (hasUserNamespace) channel.ask({ kind: 'user' });
  applyCredentials(hasUserNamespace ? { ...plan, limits: [] } : plan);
  const env = environmentOf(plan);
  const program = findProgram(plan.args[0] ?? '', env);
  return () => {
    blockSignals(false);
    // With no_new_privs it is the last thing of all: the profile needs to allow no more than execve.
    if (plan.seccomp !== undefined && plan.noNewPrivileges) installSeccomp(plan.seccomp);
    return execute(program, plan.args, env);
  };
}
