// The front end of vhost-user: it hands a device's queues to a program that serves them. Messages are few (at start and stop)
// and are sent and answered synchronously with a timeout; requests and interrupts go by shared memory and eventfds only.
import type { ActivationContext, ActiveDevice } from '../devices/virtio/device.ts';
import { featureSet, hasFeature } from '../devices/virtio/features.ts';
import type { FsBackend } from '../devices/virtio/fs/backend.ts';
import type { Virtqueue } from '../devices/virtio/queue.ts';
import { watchFd } from '../ffi/event-loop.unsafe.ts';
import { SystemError } from '../ffi/system-error.ts';
import { UnixConnection } from '../ffi/unix-socket.unsafe.ts';
import type { Fd } from '../lib/brand.ts';
import { messageOf, TskataError } from '../lib/errors.ts';
import {
  checkReplyHeader,
  decodeU64,
  encodeMemoryTable,
  encodeMessage,
  encodeRingAddresses,
  encodeRingState,
  encodeU64,
  MAX_MEMORY_REGIONS,
  MESSAGE_HEADER_SIZE,
  type RequestName,
  type SharedRegion,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_F_MQ,
  VHOST_USER_PROTOCOL_F_REPLY_ACK,
} from './vhost-user-message.ts';

const WANTED_PROTOCOL_FEATURES = featureSet(VHOST_USER_PROTOCOL_F_MQ, VHOST_USER_PROTOCOL_F_REPLY_ACK);
const U64_SIZE = 8;
const RING_STATE_SIZE = 8;
const DEFAULT_TIMEOUT_MS = 5000;
/** What a back end gets from bind(2) to listen(2), milliseconds: two system calls, on a machine that is busy. */
const LISTEN_TIMEOUT_MS = 100;

/** A region of guest memory that the back end may map. */
export interface SharedMemory extends SharedRegion {
  /** The memfd behind it. */
  readonly fd: Fd;
}

export type VhostUserErrorCode =
  /** Nobody answers at the socket, or the connection broke. */
  | 'DISCONNECTED'
  /** The back end's answer makes no sense, or says that it failed. */
  | 'PROTOCOL'
  /** The guest's memory or queues cannot be handed over. */
  | 'UNSUPPORTED';

export class VhostUserError extends TskataError<VhostUserErrorCode> {}

export interface VhostUserOptions {
  /** The socket that the back end listens on. */
  readonly path: string;
  /** All of the guest's RAM. */
  readonly memory: readonly SharedMemory[];
  /** Queues that the device has: a back end with fewer is refused. */
  readonly queueCount: number;
  /** Longest wait for each answer, milliseconds. @default 5000 */
  readonly timeoutMs?: number;
}

/** A connection to one back end, which serves one device, as often as the guest starts it. */
export class VhostUserFrontEnd implements FsBackend, Disposable {
  readonly features: bigint;
  readonly #options: VhostUserOptions;
  readonly #connection: UnixConnection;
  readonly #watch: Disposable;
  readonly #hasProtocolFeatures: boolean;
  #hasReplyAck = false;
  #failure: VhostUserError | undefined;
  /** What to tell when the back end goes away while it serves. */
  #onFailure: ((failure: VhostUserError) => void) | undefined;

  /** Connects, and agrees on the protocol. @throws VhostUserError */
  constructor(options: VhostUserOptions) {
    this.#options = options;
    if (options.memory.length > MAX_MEMORY_REGIONS) {
      throw new VhostUserError('UNSUPPORTED', `guest memory has more than ${MAX_MEMORY_REGIONS} regions`, {
        regions: options.memory.length,
      });
    }
    using stack = new DisposableStack();
    this.#connection = stack.use(this.#connect());
    const features = this.#get('GET_FEATURES');
    this.features = features & ~featureSet(VHOST_USER_F_PROTOCOL_FEATURES);
    this.#hasProtocolFeatures = hasFeature(features, VHOST_USER_F_PROTOCOL_FEATURES);
    if (this.#hasProtocolFeatures) this.#agreeOnProtocol();
    this.#send('SET_OWNER');
    this.#watch = stack.use(watchFd(this.#connection.fd, () => this.#lose(), { ref: false }));
    stack.move();
  }

  start(context: ActivationContext): ActiveDevice {
    const queues = [...context.queues.entries()].filter(
      (entry): entry is [number, Virtqueue] => entry[1] !== undefined,
    );
    const protocolBit = this.#hasProtocolFeatures ? featureSet(VHOST_USER_F_PROTOCOL_FEATURES) : 0n;
    const { memory } = this.#options;
    this.#send('SET_FEATURES', encodeU64(context.features | protocolBit));
    this.#send(
      'SET_MEM_TABLE',
      encodeMemoryTable(memory),
      memory.map(({ fd }) => fd),
    );
    // Whatever happens, a ring that was started is stopped before its memory is the driver's again.
    using started = new DisposableStack();
    for (const [index, queue] of queues) {
      started.defer(() => this.#stopQueue(index));
      this.#startQueue(context, index, queue);
    }
    this.#onFailure = (failure) => context.fail(failure);
    started.defer(() => {
      this.#onFailure = undefined;
    });
    return started.move();
  }

  [Symbol.dispose](): void {
    this.#onFailure = undefined;
    this.#watch[Symbol.dispose]();
    this.#connection[Symbol.dispose]();
  }

  #connect(): UnixConnection {
    const { path, timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
    try {
      return connectWhenListening(path, timeoutMs);
    } catch (error) {
      throw new VhostUserError(
        'DISCONNECTED',
        `no vhost-user back end answers at ${path}: ${messageOf(error)}`,
        { path },
        { cause: error },
      );
    }
  }

  #agreeOnProtocol(): void {
    const agreed = this.#get('GET_PROTOCOL_FEATURES') & WANTED_PROTOCOL_FEATURES;
    this.#send('SET_PROTOCOL_FEATURES', encodeU64(agreed));
    this.#hasReplyAck = hasFeature(agreed, VHOST_USER_PROTOCOL_F_REPLY_ACK);
    if (!hasFeature(agreed, VHOST_USER_PROTOCOL_F_MQ)) return;
    const available = this.#get('GET_QUEUE_NUM');
    if (available < BigInt(this.#options.queueCount)) {
      throw new VhostUserError(
        'UNSUPPORTED',
        `the back end at ${this.#options.path} serves ${available} queues, the device has ${this.#options.queueCount}`,
        { path: this.#options.path, available },
      );
    }
  }

  #startQueue(context: ActivationContext, index: number, queue: Virtqueue): void {
    const { kick, call } = context.eventFds(index);
    this.#send('SET_VRING_NUM', encodeRingState(index, queue.size));
    this.#send('SET_VRING_BASE', encodeRingState(index, queue.nextAvailable));
    this.#send('SET_VRING_ADDR', encodeRingAddresses(index, queue));
    // The low byte is the queue; the flag for "no descriptor" stays clear.
    this.#send('SET_VRING_CALL', encodeU64(BigInt(index)), [call]);
    this.#send('SET_VRING_KICK', encodeU64(BigInt(index)), [kick]);
    // With protocol features agreed on, a ring starts disabled.
    if (this.#hasProtocolFeatures) this.#send('SET_VRING_ENABLE', encodeRingState(index, 1));
  }

  /** After the answer the back end does not touch the ring any more. */
  #stopQueue(index: number): void {
    // Who is gone serves nothing any more.
    if (this.#failure !== undefined) return;
    this.#request('GET_VRING_BASE', encodeRingState(index, 0), [], RING_STATE_SIZE);
  }

  #get(request: RequestName): bigint {
    return decodeU64(this.#request(request, new Uint8Array(), [], U64_SIZE));
  }

  /** Sends a request that has no answer of its own, and waits until the back end has done it where it can say so. */
  #send(request: RequestName, payload: Uint8Array = new Uint8Array(), fds: readonly Fd[] = []): void {
    if (!this.#hasReplyAck) {
      this.#talk(request, () => this.#connection.send(encodeMessage(request, payload, false), fds));
      return;
    }
    const status = decodeU64(this.#request(request, payload, fds, U64_SIZE, true));
    if (status !== 0n) throw this.#protocolError(request, `status ${status}`);
  }

  #request(
    request: RequestName,
    payload: Uint8Array,
    fds: readonly Fd[],
    replySize: number,
    needsReply = false,
  ): Uint8Array {
    return this.#talk(request, () => {
      this.#connection.send(encodeMessage(request, payload, needsReply), fds);
      const header = this.#receive(MESSAGE_HEADER_SIZE);
      const problem = checkReplyHeader(request, header, replySize);
      if (problem !== undefined) throw this.#protocolError(request, problem);
      return this.#receive(replySize);
    });
  }

  #receive(length: number): Uint8Array {
    const { bytes, fds } = this.#connection.receive(length);
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
      this.#failure = error instanceof VhostUserError ? error : this.#disconnected(request, error);
      throw this.#failure;
    }
  }

  #disconnected(request: RequestName, cause: unknown): VhostUserError {
    return new VhostUserError(
      'DISCONNECTED',
      `the vhost-user back end at ${this.#options.path} did not answer VHOST_USER_${request}: ${messageOf(cause)}`,
      { path: this.#options.path, request },
      { cause },
    );
  }

  #protocolError(request: RequestName, problem: string): VhostUserError {
    return new VhostUserError(
      'PROTOCOL',
      `the vhost-user back end at ${this.#options.path} answered VHOST_USER_${request} with ${problem}`,
      { path: this.#options.path, request },
    );
  }

  /** The socket is readable though nothing was asked: the back end closed it. */
  #lose(): void {
    this.#watch[Symbol.dispose]();
    this.#failure = new VhostUserError(
      'DISCONNECTED',
      `the vhost-user back end at ${this.#options.path} closed the connection: see its own messages`,
      { path: this.#options.path },
    );
    this.#onFailure?.(this.#failure);
  }
}

/**
 * A socket's file is there from bind(2) on, and refuses until listen(2): who waited for the file may come in between.
 * @throws SystemError
 */
function connectWhenListening(path: string, timeoutMs: number): UnixConnection {
  const deadline = performance.now() + LISTEN_TIMEOUT_MS;
  for (;;) {
    try {
      return UnixConnection.connect(path, timeoutMs);
    } catch (error) {
      const mayListenSoon =
        error instanceof SystemError && error.code === 'ECONNREFUSED' && performance.now() < deadline;
      if (!mayListenSoon) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
