// The conversation with a back end over vhost-user. Messages are few (at start and stop), and but for the first answer, for
// which a program must have started, they are sent and answered synchronously with a timeout.
import { setTimeout as sleep } from 'node:timers/promises';
import { watchFd } from '../ffi/event-loop.unsafe.ts';
import { SystemError } from '../ffi/system-error.ts';
import { UnixConnection } from '../ffi/unix-socket.unsafe.ts';
import type { Fd } from '../lib/brand.ts';
import { messageOf } from '../lib/errors.ts';
import { VhostUserError } from './vhost-user-error.ts';
import {
  checkReplyHeader,
  decodeU64,
  encodeMessage,
  MESSAGE_HEADER_SIZE,
  type RequestName,
} from './vhost-user-message.ts';

const U64_SIZE = 8;
const NO_BYTES = new Uint8Array();
/** Longest wait for an answer unless told, milliseconds: ten VMs may start at once on a machine that has one processor. */
export const DEFAULT_TIMEOUT_MS = 30_000;
/** What a back end gets from bind(2) to listen(2), milliseconds: two system calls, on a machine that is busy. */
const LISTEN_TIMEOUT_MS = 100;
const LISTEN_INTERVAL_MS = 1;

/** What goes along with a request. */
export interface RequestOptions {
  readonly payload?: Uint8Array;
  readonly fds?: readonly Fd[];
  /** Longest wait for the answer, milliseconds. @default that of the connection */
  readonly timeoutMs?: number;
}

export class VhostUserConnection implements Disposable {
  /** Who is at the other end, for messages. */
  readonly name: string;
  /** Whether any request can ask for an answer: VHOST_USER_PROTOCOL_F_REPLY_ACK was agreed on. */
  hasReplyAck = false;
  readonly #connection: UnixConnection;
  readonly #watch: Disposable;
  readonly #onLost: (failure: VhostUserError) => void;
  #failure: VhostUserError | undefined;

  private constructor(connection: UnixConnection, name: string, onLost: (failure: VhostUserError) => void) {
    this.#connection = connection;
    this.name = name;
    this.#onLost = onLost;
    this.#watch = watchFd(connection.fd, () => this.#lose(), { ref: false });
  }

  /**
   * Asks for the features, and waits for the answer without keeping others from their work.
   * @param connection belongs to the result, and is closed when this fails
   * @param onLost told when the back end goes away later on
   * @throws VhostUserError (rejects)
   */
  static async open(
    connection: UnixConnection,
    name: string,
    timeoutMs: number,
    onLost: (failure: VhostUserError) => void,
  ): Promise<{ readonly connection: VhostUserConnection; readonly features: bigint }> {
    using stack = new DisposableStack();
    stack.use(connection);
    try {
      connection.send(encodeMessage('GET_FEATURES', NO_BYTES, false));
      await untilReadable(connection.fd, timeoutMs);
    } catch (error) {
      throw disconnected(name, 'GET_FEATURES', error);
    }
    const opened = stack.use(new VhostUserConnection(connection, name, onLost));
    const features = decodeU64(opened.#talk('GET_FEATURES', () => opened.#receiveReply('GET_FEATURES', U64_SIZE)));
    stack.move();
    return { connection: opened, features };
  }

  /** Why there is no connection any more. */
  get failure(): VhostUserError | undefined {
    return this.#failure;
  }

  /** Asks for a number. @throws VhostUserError */
  get(request: RequestName, options: RequestOptions = {}): bigint {
    return decodeU64(this.request(request, U64_SIZE, options));
  }

  /**
   * Sends a request that has no answer of its own, and waits until the back end has done it where it can say so.
   * @throws VhostUserError
   */
  send(request: RequestName, payload: Uint8Array = NO_BYTES, fds: readonly Fd[] = []): void {
    if (!this.hasReplyAck) {
      this.#talk(request, () => this.#connection.send(encodeMessage(request, payload, false), fds));
      return;
    }
    const reply = this.#talk(request, () => {
      this.#connection.send(encodeMessage(request, payload, true), fds);
      return this.#receiveReply(request, U64_SIZE);
    });
    const status = decodeU64(reply);
    if (status !== 0n) throw this.protocolError(request, `status ${status}`);
  }

  /** Sends a request and receives its answer. @throws VhostUserError */
  request(request: RequestName, replySize: number, options: RequestOptions = {}): Uint8Array {
    const { payload = NO_BYTES, fds = [], timeoutMs } = options;
    return this.#talk(request, () => {
      this.#connection.send(encodeMessage(request, payload, false), fds);
      return this.#receiveReply(request, replySize, timeoutMs);
    });
  }

  protocolError(request: RequestName, problem: string): VhostUserError {
    return new VhostUserError('PROTOCOL', `${this.name} answered VHOST_USER_${request} with ${problem}`, {
      name: this.name,
      request,
    });
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    this.#connection[Symbol.dispose]();
    this.#failure ??= new VhostUserError('DISCONNECTED', `the connection to ${this.name} is closed`);
  }

  #receiveReply(request: RequestName, size: number, timeoutMs?: number): Uint8Array {
    const problem = checkReplyHeader(request, this.#receive(MESSAGE_HEADER_SIZE, timeoutMs), size);
    if (problem !== undefined) throw this.protocolError(request, problem);
    return this.#receive(size, timeoutMs);
  }

  #receive(length: number, timeoutMs?: number): Uint8Array {
    const { bytes, fds } = this.#connection.receive(length, undefined, timeoutMs);
    // No answer that we ask for comes with descriptors.
    for (const fd of fds) fd[Symbol.dispose]();
    return bytes;
  }

  #talk<Result>(request: RequestName, exchange: () => Result): Result {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return exchange();
    } catch (error) {
      // Request and answer are out of step from here on: the connection is of no use any more.
      this.#failure = error instanceof VhostUserError ? error : disconnected(this.name, request, error);
      throw this.#failure;
    }
  }

  /** The socket is readable though nothing was asked: the back end closed it. */
  #lose(): void {
    this.#watch[Symbol.dispose]();
    this.#failure ??= new VhostUserError('DISCONNECTED', `${this.name} closed the connection: see its own messages`, {
      name: this.name,
    });
    this.#onLost(this.#failure);
  }
}

function disconnected(name: string, request: RequestName, cause: unknown): VhostUserError {
  const message = `${name} did not answer VHOST_USER_${request}: ${messageOf(cause)}`;
  return new VhostUserError('DISCONNECTED', message, { name, request }, { cause });
}

/** @throws Error when nothing came (rejects) */
async function untilReadable(fd: Fd, timeoutMs: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  const watch = watchFd(fd, () => resolve());
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    watch[Symbol.dispose]();
  }
}

/**
 * Connects to a back end that somebody else runs. A socket's file is there from bind(2) on, and refuses until listen(2): who
 * waited for the file may come in between.
 * @throws VhostUserError DISCONNECTED (rejects)
 */
export async function connectToBackEnd(path: string, timeoutMs: number): Promise<UnixConnection> {
  const deadline = performance.now() + LISTEN_TIMEOUT_MS;
  for (;;) {
    try {
      return UnixConnection.connect(path, timeoutMs);
    } catch (error) {
      const mayListenSoon =
        error instanceof SystemError && error.code === 'ECONNREFUSED' && performance.now() < deadline;
      if (!mayListenSoon) {
        const message = `no vhost-user back end answers at ${path}: ${messageOf(error)}`;
        throw new VhostUserError('DISCONNECTED', message, { path }, { cause: error });
      }
      await sleep(LISTEN_INTERVAL_MS);
    }
  }
}
