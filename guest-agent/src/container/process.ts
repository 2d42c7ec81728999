// A process of a container, as the agent sees it.
import type { StdioRequest } from '../../../src/protocol/agent.gen.ts';
import type { Caller } from '../../../src/protocol/service.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import { type EventLoop, Pollable } from '../event-loop.ts';
import type { EventHub } from '../events.ts';
import * as abi from '../linux/abi.gen.ts';
import { close } from '../linux/file.ts';
import { type Ending, kill, takeFd } from '../linux/process.ts';
import { messagePair, setNonBlocking } from '../linux/socket.ts';
import { isTerminalMaster } from '../linux/terminal.ts';
import { requireDescriptors } from '../open-file-limit.ts';
import type { Reaper } from '../reaper.ts';
import { closeChildStdio, type ProcessStreams } from '../stdio/process-streams.ts';
import type { StreamRegistry } from '../stdio/registry.ts';
import { ParentChannel } from './channel.ts';
import type { ChildDescriptors } from './child.ts';

/** The parts of the agent that processes need. */
export interface ProcessServices {
  readonly loop: EventLoop;
  readonly reaper: Reaper;
  readonly streams: StreamRegistry;
  readonly events: EventHub;
}

/** What a process waits for: see `ChildMessage`. */
export type Settlement = 'entered' | 'user';

export class ContainerProcess {
  /** In the agent's pid namespace. */
  readonly pid: number;
  /** Settles when the process has ended; never rejects. */
  readonly ended: Promise<Ending>;
  /** Settles when the process has ended and all its output has been delivered. */
  readonly finished: Promise<Ending>;
  readonly #services: ProcessServices;
  readonly #stdio: StdioRequest;
  readonly #streams: ProcessStreams;
  readonly #channel: ParentChannel;
  readonly #settle: (pid: number, what: Settlement) => void;
  #ending: Ending | undefined;
  /** Callers who wait for the end: thousands come and go while a process runs. */
  readonly #waiting = new Map<Caller, (ending: Ending | Promise<never>) => void>();
  /** One function for all: a closure for each of thousands is half a KiB. */
  readonly #forget = (caller: Caller): void => {
    const settle = this.#waiting.get(caller);
    this.#waiting.delete(caller);
    settle?.(Promise.reject(new StatusError('CANCELLED', 'nobody waits for the answer any more')));
  };

  /**
   * Makes the process.
   * @param fork makes it: gives its pid to the agent, and never returns in the process itself
   * @param settle does for it what it may not do itself
   * @throws StatusError, SystemError
   */
  constructor(
    services: ProcessServices,
    stdio: StdioRequest,
    fork: (descriptors: ChildDescriptors) => number,
    settle: (pid: number, what: Settlement) => void,
  ) {
    requireDescriptors();
    this.#services = services;
    this.#settle = settle;
    this.#stdio = stdio;
    this.#streams = services.streams.add(stdio);
    const childStdio = this.#streams.openPipes(stdio);
    const [ours, theirs] = messagePair();
    try {
      this.pid = fork({ channel: theirs, stdio: childStdio });
    } catch (error) {
      close(ours);
      services.streams.remove(stdio, this.#streams);
      throw error;
    } finally {
      close(theirs);
      closeChildStdio(childStdio);
    }
    setNonBlocking(ours);
    this.#channel = new ParentChannel(new Pollable(services.loop, ours));
    this.ended = services.reaper.ending(this.pid).then((ending) => {
      this.#ending = ending;
      this.#streams.processEnded();
      for (const settle of this.#waiting.values()) settle(ending);
      this.#waiting.clear();
      return ending;
    });
    this.finished = this.ended.then(async (ending) => {
      await this.#streams.finished;
      return ending;
    });
  }

  get running(): boolean {
    return this.#ending === undefined;
  }

  /** Settles when the process has ended. @throws StatusError when the caller is gone: nothing is held for it any more */
  wait(caller: Caller): Promise<Ending> {
    if (this.#ending !== undefined) return Promise.resolve(this.#ending);
    // Not by `ended`: a promise keeps all who have ever waited for it.
    return new Promise((settle) => {
      this.#waiting.set(caller, settle);
      caller.whenGone = this.#forget;
    });
  }

  /**
   * Follows the process until it is ready for execve.
   * @throws StatusError that the process reported, or FAILED_PRECONDITION when it died on the way
   */
  async prepare(): Promise<void> {
    if ((await this.#follow()) !== 'ready') {
      throw new StatusError('FAILED_PRECONDITION', "the container's init process ended before it was ready");
    }
  }

  /** Lets a ready process run its program. @throws StatusError when it cannot be run */
  async execute(): Promise<void> {
    this.#channel.sendContinue();
    await this.setUp();
  }

  /** Follows a process that waits for nobody until it runs its program. @throws StatusError that the process reported */
  async setUp(): Promise<void> {
    await this.#follow();
    this.#channel.close();
  }

  /** Reads what the process says until it is ready or says no more, and gives it its terminal on the way. */
  async #follow(): Promise<'ready' | 'silent'> {
    for (;;) {
      // The end of a process is told twice, here and by the reaper; only here it comes after the process's last words.
      const message = await this.#channel.receive();
      if (message === undefined) return 'silent';
      if (message.kind === 'ready') return 'ready';
      // Once it has been reaped its pid may be anybody's.
      if (!this.running) return 'silent';
      if (message.kind === 'terminal') this.#takeTerminal(message.fd);
      else this.#settle(this.pid, message.kind);
      this.#channel.sendContinue();
    }
  }

  #takeTerminal(fd: number): void {
    const master = takeFd(this.pid, fd);
    if (!isTerminalMaster(master)) {
      close(master);
      throw new StatusError('FAILED_PRECONDITION', 'the terminal of the process is none');
    }
    this.#streams.setTerminal(master);
    this.resize(this.#stdio.terminalRows, this.#stdio.terminalColumns);
  }

  /** @throws StatusError when the process has ended */
  signal(signal: number): void {
    if (this.#ending !== undefined || !kill(this.pid, signal)) {
      throw new StatusError('FAILED_PRECONDITION', 'os: process already finished');
    }
  }

  /** Ends it, if it runs. */
  kill(): void {
    if (this.running) kill(this.pid, abi.SIGKILL);
  }

  /** @returns false when there is no terminal (any more) */
  resize(rows: number, columns: number): boolean {
    if (rows === 0 && columns === 0) return true;
    return this.#streams.resize(rows, columns);
  }

  /** See `ProcessStreams.closeStdin`. */
  closeStdin(): void {
    this.#streams.closeStdin();
  }

  /** See `ProcessStreams.hold`. */
  async holdStreams(): Promise<void> {
    await this.#streams.hold();
  }

  /** See `ProcessStreams.release`. */
  releaseStreams(): void {
    this.#streams.release();
  }

  /** Lets go of the process: streams that no connection has taken are closed. */
  dispose(): void {
    this.#channel.close();
    this.#services.streams.remove(this.#stdio, this.#streams);
  }
}
