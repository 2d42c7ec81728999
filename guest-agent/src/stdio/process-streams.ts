// The standard streams of one process, from its pipes or its terminal to the host's connections.
import type { StdioRequest } from '../../../src/protocol/agent.gen.ts';
import { type EventLoop, Pollable } from '../event-loop.ts';
import * as abi from '../linux/abi.gen.ts';
import { close, open } from '../linux/file.ts';
import { endOutput, pipe, setNonBlocking } from '../linux/socket.ts';
import { endOfFileCharacter, resizeTerminal } from '../linux/terminal.ts';
import { deliver, relay } from './relay.ts';

export type StreamName = 'stdin' | 'stdout' | 'stderr' | 'terminal';

/** The descriptors that a new process takes as 0, 1 and 2. */
export type ChildStdio = readonly [stdin: number, stdout: number, stderr: number];

/**
 * How long a terminal may still deliver after its process has ended: what was written to a pseudo-terminal gets to the
 * other side a moment later, and only then a master without slaves says so.
 */
const TERMINAL_LINGER_MS = 200;

/** What ends a line that is typed: a terminal makes the second one the first (termios(3), ICRNL). */
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** The agent's ends of the streams of one process. */
export class ProcessStreams {
  readonly #loop: EventLoop;
  readonly #ends = new Map<StreamName, Pollable>();
  /** Streams that a host connection has taken. */
  readonly #sockets = new Map<StreamName, Pollable>();
  #processEnded = false;
  /** `closeStdin` was called. */
  #inputCloses = false;
  /** Somebody carries what the host sends, and will see to its end. */
  #inputIsCarried = false;
  #lineIsOpen = false;
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

  /**
   * Ends the process's input, once what has arrived for it was delivered. A pipe is closed; a terminal that gathers lines is
   * sent its end-of-file character, as its user would do, and goes on to deliver output.
   */
  closeStdin(): void {
    this.#inputCloses = true;
    const name = this.#ends.has('terminal') ? 'terminal' : 'stdin';
    if (this.#inputIsCarried) this.#sockets.get(name)?.wakeReader();
    else if (name === 'stdin') this.#finish('stdin');
    else void this.#endTerminalInput();
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
    if (name === 'stdin') {
      end.watchBreak(() => socket.wakeReader());
      await this.#carryInput(socket, end);
    } else {
      // What the host types ends when it half-closes; the terminal's output goes on.
      if (name === 'terminal') void this.#carryInput(socket, end).then(() => this.#endTerminalInput());
      socket.watchBreak(() => end.wakeReader());
      await relay(end, socket, { endsWhenEmpty: () => this.#processEnded });
    }
    this.#finish(name);
  }

  async #carryInput(socket: Pollable, end: Pollable): Promise<void> {
    this.#inputIsCarried = true;
    await relay(socket, end, {
      endsWhenEmpty: () => this.#inputCloses,
      passing: (bytes) => {
        this.#lineIsOpen = bytes.at(-1) !== LINE_FEED && bytes.at(-1) !== CARRIAGE_RETURN;
      },
    });
    this.#inputIsCarried = false;
  }

  /** Where `closeStdin` asks for it. What was typed of a line goes out at the first end-of-file, the end at the second. */
  async #endTerminalInput(): Promise<void> {
    const terminal = this.#ends.get('terminal');
    if (!this.#inputCloses || terminal === undefined || terminal.closed) return;
    const character = endOfFileCharacter(terminal.fd);
    if (character !== undefined) await deliver(new Uint8Array(this.#lineIsOpen ? 2 : 1).fill(character), terminal);
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
