// What runs in a process between fork and execve: first what every new process needs, then a container's init or an exec.
// It is a copy of the agent with one way out, execve or exit; nothing here may wait for the event loop.
import * as abi from '../linux/abi.gen.ts';
import { isErrno } from '../linux/call.ts';
import { close, open, openInRoot, pathOfFd, readText, withFd, writeText } from '../linux/file.ts';
import { changeDirectoryToFd, mount } from '../linux/mount.ts';
import {
  blockSignals,
  closeFrom,
  duplicateAbove,
  duplicateForSetUp,
  duplicateTo,
  execute,
  setDomainname,
  setHostname,
  setNamespace,
  setUmask,
  startSession,
  unshare,
} from '../linux/process.ts';
import { isTerminalMaster, openSlave, takeTerminal } from '../linux/terminal.ts';
import { restoreOpenFileLimit } from '../open-file-limit.ts';
import type { ChildStdio } from '../stdio/process-streams.ts';
import { ChildChannel } from './channel.ts';
import type { ContainerPlan, ProcessPlan } from './config/plan.ts';
import { applyCredentials, environmentOf, findProgram } from './credentials.ts';
import { type HookState, runHooks } from './hooks.ts';
import { buildRoot, enterRoot } from './root-filesystem.ts';
import type { RootDirectory } from './root-path.ts';
import { applyAffinity } from './scheduling.ts';

/** Where the channel to the agent is in the new process. */
const CHANNEL_FD = 3;
/** Where the pidfd of the container's init is in a process that is to join it. */
const PID_FD = 4;
/** A number above those that descriptors are moved to. */
const SCRATCH_FD = 16;
/** The process's own is for its program; until then files are made with the modes that they are given. */
const HOOK_UMASK = 0o022;

/** Ends of what the agent made for the new process. */
export interface ChildDescriptors {
  readonly channel: number;
  readonly stdio: ChildStdio;
  /** Of the container's init, where there is a container to join. */
  readonly pidFd?: number;
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
    joinCgroup(cgroupPath, undefined);
    // Only now: the root of a cgroup namespace is the cgroup that its first process is in.
    if (plan.namespaces.has('cgroup')) unshare(abi.CLONE_NEWCGROUP, 'cgroup namespace');
    prepareProcess(plan.process);
    for (const [name, value] of plan.sysctl) writeText(`/proc/sys/${name}`, value);
    if (plan.hostname) setHostname(plan.hostname);
    if (plan.domainname) setDomainname(plan.domainname);
    const root = buildRoot(rootPath, plan, cgroupPath, (unfinished) => {
      // As with runc: all mounts stand, and a hook may still add its own.
      if (plan.hooks.createContainer.length > 0) changeDirectoryToFd(unfinished.fd, "the container's root");
      runHooks('createContainer', plan.hooks.createContainer, state, HOOK_UMASK);
      if (plan.process.terminal) giveTerminal(channel, openTerminalIn(unfinished), unfinished);
    });
    enterRoot(root);
    const run = readyProgram(plan.process);
    channel.send({ kind: 'ready' });
    channel.waitForContinue();
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
  readonly cgroupPath: string;
  /** Pid of the container's init, in the agent's view. */
  readonly initPid: number;
}

/** Turns a fresh copy of the agent into one more process of a container. Never returns. */
export function runExec(descriptors: ChildDescriptors, plan: ProcessPlan, target: ExecTarget): never {
  const channel = adopt({ ...descriptors, pidFd: target.pidFd });
  try {
    applyAffinity(plan.affinity, 'initial');
    joinCgroup(target.cgroupPath, target.initPid);
    applyAffinity(plan.affinity, 'final');
    prepareProcess(plan);
    setNamespace(PID_FD, target.namespaceFlags, "the container's namespaces");
    close(PID_FD);
    if (plan.terminal) giveTerminal(channel, open('/dev/pts/ptmx', abi.O_RDWR | abi.O_NOCTTY), undefined);
    return readyProgram(plan)();
  } catch (error) {
    return channel.fail(error);
  }
}

/** Puts the descriptors in their places and closes all others: they belong to the agent and to other containers. */
function adopt({ channel, stdio, pidFd }: ChildDescriptors): ChildChannel {
  try {
    for (const [number, fd] of stdio.entries()) duplicateTo(fd, number);
    // Above everything in use, so that moving one does not overwrite the other.
    const kept = [channel, ...(pidFd === undefined ? [] : [pidFd])].map((fd) => duplicateAbove(fd, SCRATCH_FD));
    for (const [index, fd] of kept.entries()) duplicateForSetUp(fd, CHANNEL_FD + index);
    closeFrom(CHANNEL_FD + kept.length);
    return new ChildChannel(CHANNEL_FD);
  } catch (error) {
    return new ChildChannel(channel).fail(error);
  }
}

/** Moves this process into the container's cgroup. */
function joinCgroup(cgroupPath: string, initPid: number | undefined): void {
  try {
    writeText(`${cgroupPath}/cgroup.procs`, '0');
  } catch (error) {
    if (initPid === undefined || !isErrno(error, abi.EBUSY)) throw error;
    // The container moved its processes into cgroups below its own (a service manager does): then ours must be there too.
    const path = /^0::(.*)$/m.exec(readText(`/proc/${initPid}/cgroup`))?.[1] ?? '';
    writeText(`/sys/fs/cgroup${path}/cgroup.procs`, '0');
  }
}

/** What must be done while the agent's own /proc is at hand. */
function prepareProcess(plan: ProcessPlan): void {
  startSession();
  setUmask(0);
  writeText('/proc/self/oom_score_adj', String(plan.oomScoreAdj));
  restoreOpenFileLimit();
}

function openTerminalIn(root: RootDirectory): number {
  return openInRoot(root.fd, '/dev/pts/ptmx', abi.O_RDWR | abi.O_NOCTTY);
}

/** Hands the master to the agent and makes the slave this process's terminal, and /dev/console when there is a root to put it. */
function giveTerminal(channel: ChildChannel, master: number, root: RootDirectory | undefined): void {
  if (!isTerminalMaster(master)) throw new Error('/dev/pts/ptmx of the container is no pseudo-terminal multiplexer');
  const slave = openSlave(master);
  channel.send({ kind: 'terminal', fd: master });
  channel.waitForContinue();
  close(master);
  if (root !== undefined) {
    withFd(root.ensure('/dev/console', 'file'), (fd) => mount(pathOfFd(slave), pathOfFd(fd), '', abi.MS_BIND));
  }
  takeTerminal(slave);
  for (const number of [0, 1, 2]) duplicateTo(slave, number);
  if (slave > 2) close(slave);
}

/** Becomes the user, finds the program, and gives the last step. */
function readyProgram(plan: ProcessPlan): () => never {
  applyCredentials(plan);
  const env = environmentOf(plan);
  const program = findProgram(plan.args[0] ?? '', env);
  return () => {
    blockSignals(false);
    return execute(program, plan.args, env);
  };
}
