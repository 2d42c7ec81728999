// Between the agent and a process that it is making: one message each way at a time, until execve closes the socket.
import { decodeUtf8, encodeUtf8 } from 'tskata-sys';
import { messageOf } from '../../../src/lib/errors.ts';
import type { StatusName } from '../../../src/protocol/status.ts';
import { StatusError } from '../../../src/protocol/status.ts';
import type { Pollable } from '../event-loop.ts';
import * as abi from '../linux/abi.gen.ts';
import { SystemError } from '../linux/call.ts';
import { tryRead, tryWrite } from '../linux/file.ts';
import { exit } from '../linux/process.ts';

/** What the new process says. */
export type ChildMessage =
  /** Its terminal's master is open under this number; it waits for "continue" before it closes it. */
  | { readonly kind: 'terminal'; readonly fd: number }
  /** It is in its container's new namespaces, and waits for "continue" once its ids and clocks are settled. */
  | { readonly kind: 'entered' }
  /** It is about to become its user in a user namespace, and waits for "continue" once limits and streams are settled. */
  | { readonly kind: 'user' }
  /** All is done but execve; it waits for "continue". */
  | { readonly kind: 'ready' }
  | { readonly kind: 'failed'; readonly code: StatusName; readonly message: string };

/** Longest message: an error text that is cut, every character of which JSON may have to write as six. */
const MESSAGE_BYTES_MAX = 32 * 1024;

/** The new process's end. Blocking. */
export class ChildChannel {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  send(message: ChildMessage): void {
    tryWrite(this.#fd, encodeUtf8(JSON.stringify(message)));
  }

  /** Waits for the agent's "continue". Ends this process when the agent does not want it any more. */
  waitForContinue(): void {
    if (tryRead(this.#fd, new Uint8Array(1)) !== 1) exit(1);
  }

  /** Says something and waits for the agent's "continue". */
  ask(message: ChildMessage): void {
    this.send(message);
    this.waitForContinue();
  }

  /** Reports what went wrong and ends this process. */
  fail(error: unknown): never {
    const code = error instanceof StatusError ? error.code : codeOf(error);
    this.send({ kind: 'failed', code, message: messageOf(error).slice(0, 4096) });
    exit(1);
  }
}

/** The status that stands for an error. */
export function codeOf(error: unknown): StatusName {
  const errno = error instanceof SystemError ? error.errno : 0;
  if (errno === abi.ENOENT) return 'NOT_FOUND';
  if (errno === abi.EACCES || errno === abi.EPERM) return 'PERMISSION_DENIED';
  return 'FAILED_PRECONDITION';
}

/** The agent's end: a non-blocking socket. */
export class ParentChannel {
  readonly #socket: Pollable;

  constructor(socket: Pollable) {
    this.#socket = socket;
  }

  /**
   * The next message; undefined when the process has run its program, or has ended.
   * @throws StatusError that the process reported
   */
  async receive(): Promise<Exclude<ChildMessage, { kind: 'failed' }> | undefined> {
    const bytes = new Uint8Array(MESSAGE_BYTES_MAX);
    for (;;) {
      const length = this.#socket.closed ? 0 : tryRead(this.#socket.fd, bytes);
      if (length === -abi.EAGAIN) {
        await this.#socket.readable();
        continue;
      }
      if (length <= 0) return undefined;
      const message = JSON.parse(decodeUtf8(bytes.subarray(0, length))) as ChildMessage;
      if (message.kind === 'failed') throw new StatusError(message.code, message.message);
      return message;
    }
  }

  /** Lets the process go on. @returns false when it is gone */
  sendContinue(): boolean {
    return !this.#socket.closed && tryWrite(this.#socket.fd, new Uint8Array(1)) === 1;
  }

  close(): void {
    this.#socket.close();
  }
}
