// Hooks that run in a container's namespaces. The container's own init process makes them and waits for them, on its way to
// its execve: however long one takes, the agent's loop does not stand still.
import { decodeUtf8, encodeUtf8 } from 'tskata-sys';
import { messageOf } from '../../../src/lib/errors.ts';
import { OCI_RUNTIME_SPEC_VERSION } from '../../../src/lib/version.ts';
import { appended } from '../bytes.ts';
import * as abi from '../linux/abi.gen.ts';
import { call, isErrno } from '../linux/call.ts';
import { Epoll } from '../linux/epoll.ts';
import { close, memoryFile, readAll, statusOf, tryRead, tryWrite } from '../linux/file.ts';
import { readClock } from '../linux/machine.ts';
import {
  blockSignals,
  closeFrom,
  duplicateForSetUp,
  duplicateTo,
  type Ending,
  execute,
  exit,
  forkFiltered,
  kill,
  openPidFd,
  setUmask,
  waitForChild,
} from '../linux/process.ts';
import { pipe, setNonBlocking } from '../linux/socket.ts';
import type { GuestHookPoint, HookPlan } from './config/hooks.ts';

/** What hooks learn of their container (OCI runtime-spec 1.2, runtime, "State"). */
export interface HookState {
  readonly id: string;
  /** As the host said it. */
  readonly bundle: string;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

/** As in runc: the container is being made before pivot_root, and is made before its program. */
const STATUS: Readonly<Record<GuestHookPoint, string>> = { createContainer: 'creating', startContainer: 'created' };

/** What a message says of a hook's output: its last bytes. */
const SHOWN_BYTES = 1024;
/** Where a hook's process reports that it could not become the hook's program. */
const PROBLEM_FD = 3;
/** The shells' exit status for a program that cannot be run. */
const EXIT_NOT_EXECUTED = 127;
/** epoll_wait(2) takes an int. */
const WAIT_MAX_MS = 2 ** 31 - 1;
const NANOSECONDS_PER_MS = 1_000_000n;
const MS_PER_SECOND = 1000;

/**
 * Runs the hooks of one point in their order, each with the container's state on its standard input.
 * @param umask for the hooks; undefined: as it is
 * @throws Error for the first that fails, in runc's words
 */
export function runHooks(point: GuestHookPoint, hooks: readonly HookPlan[], state: HookState, umask?: number): void {
  if (hooks.length === 0) return;
  const { id, bundle, annotations } = state;
  // The pid is the container's view of its init process, as with runc: that is who runs the hooks.
  const pid = call('getpid', '', abi.SYS_getpid);
  const text = { ociVersion: OCI_RUNTIME_SPEC_VERSION, id, status: STATUS[point], pid, bundle, annotations };
  const input = encodeUtf8(JSON.stringify(text));
  for (const [index, hook] of hooks.entries()) {
    const problem = runHook(hook, input, umask);
    if (problem !== undefined) throw new Error(`error running ${point} hook #${index}: ${problem}`);
  }
}

/** @returns how it failed; undefined when it did not */
function runHook(hook: HookPlan, input: Uint8Array, umask: number | undefined): string | undefined {
  const stdin = memoryFile('state', input);
  const [stdout, theirStdout] = pipe();
  const [stderr, theirStderr] = pipe();
  const [problem, theirProblem] = pipe();
  const pid = forkFiltered();
  if (pid === 0) becomeHook(hook, [stdin, theirStdout, theirStderr], theirProblem, umask);
  for (const fd of [stdin, theirStdout, theirStderr, theirProblem]) close(fd);
  // Ends when the program runs or the process has ended.
  const notExecuted = decodeUtf8(readAll(problem, 'the report of a hook'));
  const outputs = [new Output(stdout), new Output(stderr)] as const;
  const inTime = followUntilEnd(pid, outputs, hook.timeoutSeconds);
  if (!inTime) kill(pid, abi.SIGKILL);
  const ending = waitForChild(pid);
  for (const output of outputs) output.finish();
  close(problem);
  if (notExecuted !== '') return notExecuted;
  if (inTime && ending.signal === 0 && ending.exitStatus === 0) return undefined;
  const how = inTime ? describe(ending) : `hook ran past specified timeout of ${hook.timeoutSeconds?.toFixed(1)}s`;
  return `${how}, stdout: ${outputs[0].text}, stderr: ${outputs[1].text}`;
}

/** Runs in the new process, which has nothing open but its three streams when the hook's program begins. */
function becomeHook(hook: HookPlan, stdio: readonly number[], problem: number, umask: number | undefined): never {
  try {
    // Those from 0 to 3 are in use in the parent: no pipe's end is among them and could be overwritten.
    for (const [number, fd] of stdio.entries()) duplicateTo(fd, number);
    duplicateForSetUp(problem, PROBLEM_FD);
    closeFrom(PROBLEM_FD + 1);
    if (umask !== undefined) setUmask(umask);
    blockSignals(false);
    execute(hook.path, hook.args, hook.env);
  } catch (error) {
    tryWrite(PROBLEM_FD, encodeUtf8(`fork/${messageOf(error)}${hintFor(error, hook.path)}`));
  }
  exit(EXIT_NOT_EXECUTED);
}

/** A file that is there and cannot be found by execve(2) names an interpreter, or a dynamic loader, that is not. */
function hintFor(error: unknown, path: string): string {
  if (!isErrno(error, abi.ENOENT)) return '';
  try {
    statusOf(path);
  } catch {
    return '';
  }
  const hint = 'the file is there, but the interpreter or dynamic loader that it names is not there where it runs';
  return `: ${hint}: use a static program`;
}

/** Takes the output until the process has ended. @returns false when its time is over before that */
function followUntilEnd(pid: number, outputs: readonly Output[], timeoutSeconds: number | undefined): boolean {
  const end = timeoutSeconds === undefined ? Number.POSITIVE_INFINITY : nowMs() + timeoutSeconds * MS_PER_SECOND;
  const pidFd = openPidFd(pid);
  const epoll = new Epoll();
  const ended = outputs.length;
  try {
    epoll.change(ended, pidFd, 0, abi.EPOLLIN);
    for (const [id, output] of outputs.entries()) epoll.change(id, output.fd, 0, abi.EPOLLIN);
    for (;;) {
      const left = end - nowMs();
      if (left <= 0) return false;
      for (const { id } of epoll.wait(left === Number.POSITIVE_INFINITY ? -1 : Math.min(left, WAIT_MAX_MS))) {
        if (id === ended) return true;
        const output = outputs[id];
        if (output?.take() === false) epoll.change(id, output.fd, abi.EPOLLIN, 0);
      }
    }
  } finally {
    epoll.close();
    close(pidFd);
  }
}

function nowMs(): number {
  return Number(readClock(abi.CLOCK_MONOTONIC) / NANOSECONDS_PER_MS);
}

function describe({ exitStatus, signal }: Ending): string {
  return signal === 0 ? `exit status ${exitStatus}` : `signal: ${signal}`;
}

/** One output of a hook, of which only the end is kept: it may be endless. */
class Output {
  readonly fd: number;
  #last: Uint8Array = new Uint8Array(0);

  constructor(fd: number) {
    this.fd = fd;
    setNonBlocking(fd);
  }

  get text(): string {
    return decodeUtf8(this.#last);
  }

  /** Takes some of what is there. @returns false when that is nothing */
  take(): boolean {
    const bytes = new Uint8Array(SHOWN_BYTES);
    const length = tryRead(this.fd, bytes);
    if (length <= 0) return false;
    this.#last = appended(this.#last, bytes.subarray(0, length)).slice(-SHOWN_BYTES);
    return true;
  }

  /** Takes what the hook has left there. What it started may hold the other end still, and must not hold us. */
  finish(): void {
    for (let taken = 0; taken < PIPE_READS_MAX && this.take(); taken++);
    close(this.fd);
  }
}

/** As many reads as empty a pipe of the usual size (pipe(7), "Pipe capacity"), whoever goes on to fill it. */
const PIPE_READS_MAX = 64;
