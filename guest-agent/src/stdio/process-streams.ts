// The standard streams of one process, from its pipes or its terminal to the host's connections.
import type { StdioRequest } from '../../../src/protocol/agent.gen.ts';
import { type EventLoop, Pollable } from '../event-loop.ts';
import * as abi from '../linux/abi.gen.ts';
import { close, open } from '../linux/file.ts';
import { endOutput, pipe, setNonBlocking } from '../linux/socket.ts';
import { resizeTerminal } from '../linux/terminal.ts';
import { relay } from './relay.ts';

export type StreamName = 'stdin' | 'stdout' | 'stderr' | 'terminal';

/** The descriptors that a new process takes as 0, 1 and 2. */
export type ChildStdio = readonly [stdin: number, stdout: number, stderr: number];

/**
 * How long a terminal may still deliver after its process has ended: what was written to a pseudo-terminal gets to the
 * other side a moment later, and only then a master without slaves says so.
 */
const TERMINAL_LINGER_MS = 200;

/** The agent's ends of the streams of one process. */
export class ProcessStreams {
  readonly #loop: EventLoop;
  readonly #ends = new Map<StreamName, Pollable>();
  /** Streams that a host connection has taken. */
  readonly #sockets = new Map<StreamName, Pollable>();
  #processEnded = false;
  #reportFinished: () => void = () => {};
  /** Settles when the process has ended and no stream is left. */
  readonly finished: Promise<void>;

  constructor(loop: EventLoop) {
    this.#loop = loop;
    this.finished = new Promise((resolve) => {
      this.#reportFinished = resolve;
    });
  }

  /**
   * Makes the pipes that are asked for; the rest is /dev/null, as everything is where a terminal will come.
   * @returns the child's ends, which the caller closes when the child has them
   */
  openPipes(request: StdioRequest): ChildStdio {
    const one = (name: StreamName, wanted: boolean): number => {
      if (!wanted || request.terminal) return open('/dev/null', abi.O_RDWR);
      const [readEnd, writeEnd] = pipe();
      const [ours, theirs] = name === 'stdin' ? [writeEnd, readEnd] : [readEnd, writeEnd];
      setNonBlocking(ours);
      this.#ends.set(name, new Pollable(this.#loop, ours));
      return theirs;
    };
    return [one('stdin', request.stdin), one('stdout', request.stdout), one('stderr', request.stderr)];
  }

  /** Takes over the master of the process's terminal. */
  setTerminal(master: number): void {
    setNonBlocking(master);
    this.#ends.set('terminal', new Pollable(this.#loop, master));
  }

  /** Sets the size of the terminal. @returns false when the process has none (any more) */
  resize(rows: number, columns: number): boolean {
    const terminal = this.#ends.get('terminal');
    if (terminal === undefined || terminal.closed) return false;
    resizeTerminal(terminal.fd, rows, columns);
    return true;
  }

  /** Gives a stream its host connection, which it owns then. @returns false when there is no such stream or it is taken */
  attach(name: string, socket: Pollable): boolean {
    const end = this.#ends.get(name as StreamName);
    if (end === undefined || this.#sockets.has(name as StreamName)) return false;
    this.#sockets.set(name as StreamName, socket);
    void this.#carry(name as StreamName, end, socket);
    return true;
  }

  /** The process has ended: its output ends when its pipes are empty, whoever else still holds them. */
  processEnded(): void {
    const linger = this.#ends.has('terminal') ? TERMINAL_LINGER_MS : 0;
    this.#loop.after(linger, () => {
      this.#processEnded = true;
      for (const [name, end] of this.#ends) {
        if (name === 'stdin') this.#finish(name);
        else end.wakeReader();
      }
      this.#reportWhenFinished();
    });
  }

  /** Nobody new will come: closes what no connection has taken. What is being delivered is delivered to its end. */
  abandon(): void {
    for (const name of [...this.#ends.keys()]) if (!this.#sockets.has(name)) this.#finish(name);
  }

  async #carry(name: StreamName, end: Pollable, socket: Pollable): Promise<void> {
    const processEnded = { endsWhenEmpty: () => this.#processEnded };
    const never = { endsWhenEmpty: () => false };
    if (name === 'stdin') {
      await relay(socket, end, never);
    } else {
      // What the host types ends when it half-closes; the terminal's output goes on.
      if (name === 'terminal') void relay(socket, end, never);
      await relay(end, socket, processEnded);
    }
    this.#finish(name);
  }

  #finish(name: StreamName): void {
    this.#ends.get(name)?.close();
    this.#ends.delete(name);
    const socket = this.#sockets.get(name);
    if (socket !== undefined && !socket.closed) {
      // The host sees the end of file even while its own bytes are still on their way here.
      endOutput(socket.fd);
      socket.close();
    }
    this.#reportWhenFinished();
  }

  #reportWhenFinished(): void {
    if (this.#processEnded && this.#ends.size === 0) this.#reportFinished();
  }
}

/** Closes the descriptors that a child has taken over. */
export function closeChildStdio(stdio: ChildStdio): void {
  for (const fd of stdio) close(fd);
}
