// The standard streams of one process, from its pipes or its terminal to the host's connections.
import type { StdioRequest } from '../../../src/protocol/agent.gen.ts';
import { type EventLoop, Pollable } from '../event-loop.ts';
import * as abi from '../linux/abi.gen.ts';
import { close, open } from '../linux/file.ts';
import { endOutput, pipe, setNonBlocking } from '../linux/socket.ts';
import { endOfFileCharacter, resizeTerminal } from '../linux/terminal.ts';
import { deliver, NOTHING, relay } from './relay.ts';

export type StreamName = 'stdin' | 'stdout' | 'stderr' | 'terminal';

/** The descriptors that a new process takes as 0, 1 and 2. */
export type ChildStdio = readonly [stdin: number, stdout: number, stderr: number];

/**
 * How long a terminal may still deliver after its process has ended: what was written to a pseudo-terminal gets to the
 * other side a moment later, and only then a master without slaves says so.
 */
const TERMINAL_LINGER_MS = 200;

/** What a reader gets to take what a process had written before it was held, milliseconds. */
const HOLD_MS = 1_000;

/** What ends a line that is typed: a terminal makes the second one the first (termios(3), ICRNL). */
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** A stream's connection to the host. */
interface Connection {
  readonly socket: Pollable;
  /** Settles when nothing is carried any more, with what was taken from the process in vain; never rejects. */
  readonly carried: Promise<Uint8Array>;
}

/** The agent's ends of the streams of one process. */
export class ProcessStreams {
  readonly #loop: EventLoop;
  readonly #ends = new Map<StreamName, Pollable>();
  /** Streams that a host connection has taken. */
  readonly #connections = new Map<StreamName, Connection>();
  /** While streams are held: told when the pipe or terminal of one is empty. */
  #held: ((emptied: StreamName) => void) | undefined;
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

  /**
   * Gives a stream its host connection, which it owns then; a held one also in the place of another.
   * @returns false when there is no such stream or it is taken
   */
  attach(stream: string, socket: Pollable): boolean {
    const name = stream as StreamName;
    const end = this.#ends.get(name);
    const before = this.#connections.get(name);
    if (end === undefined || (before !== undefined && this.#held === undefined)) return false;
    before?.socket.close();
    end.wakeReader();
    this.#connections.set(name, { socket, carried: this.#carry(name, end, socket, before?.carried) });
    return true;
  }

  /**
   * Keeps streams whose connections break: in the copies that are made of the guest, all do, and others come in their place.
   * Settles when what the process has written is on its way to the host, as far as somebody takes it. What of the host's input
   * is still on its way does not come to the copies.
   */
  async hold(): Promise<void> {
    const full = new Set([...this.#connections.keys()].filter((name) => name !== 'stdin' && this.#ends.has(name)));
    const emptied = new Promise<void>((resolve) => {
      this.#held = (name) => {
        full.delete(name);
        if (full.size === 0) resolve();
      };
      if (full.size === 0) resolve();
    });
    for (const name of full) this.#ends.get(name)?.wakeReader();
    await this.#loop.settles(emptied, HOLD_MS);
  }

  /** Ends what `hold` began: a stream whose connection broke meanwhile, and that got no other, is closed. */
  release(): void {
    this.#held = undefined;
    for (const [name, { socket }] of this.#connections) if (socket.closed) this.#finish(name);
  }

  /**
   * Ends the process's input, once what has arrived for it was delivered. A pipe is closed; a terminal that gathers lines is
   * sent its end-of-file character, as its user would do, and goes on to deliver output.
   */
  closeStdin(): void {
    this.#inputCloses = true;
    const name = this.#ends.has('terminal') ? 'terminal' : 'stdin';
    if (this.#inputIsCarried) this.#connections.get(name)?.socket.wakeReader();
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
    for (const name of [...this.#ends.keys()]) if (!this.#connections.has(name)) this.#finish(name);
  }

  /** @param before what an earlier connection of the stream has left. @returns what this one leaves */
  async #carry(name: StreamName, end: Pollable, socket: Pollable, before?: Promise<Uint8Array>): Promise<Uint8Array> {
    let left = before === undefined ? NOTHING : await before;
    let input: Promise<void> | undefined;
    if (name === 'stdin') {
      end.watchBreak(() => socket.wakeReader());
      await this.#carryInput(socket, end);
    } else {
      // What the host types ends when it half-closes; the terminal's output goes on.
      if (name === 'terminal') input = this.#carryInput(socket, end).then(() => this.#endTerminalInput());
      socket.watchBreak(() => end.wakeReader());
      if (left.length > 0) left = await deliver(left, socket);
      if (left.length === 0) left = await this.#carryOutput(name, end, socket);
    }
    const isReplaced = this.#connections.get(name)?.socket !== socket;
    if (this.#held === undefined && !isReplaced) this.#finish(name);
    else {
      socket.close();
      await input;
    }
    return left;
  }

  async #carryOutput(name: StreamName, end: Pollable, socket: Pollable): Promise<Uint8Array> {
    const endsWhenEmpty = (): boolean => {
      this.#held?.(name);
      return this.#processEnded;
    };
    const how = await relay(end, socket, { endsWhenEmpty });
    return how === 'delivered' ? NOTHING : how;
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
    const socket = this.#connections.get(name)?.socket;
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
