// The front end of vhost-user: it hands a device's queues to a program that serves them. Requests and interrupts go by shared
// memory and eventfds only.
import { readFileSync, writeSync } from 'node:fs';
import type { ActivationContext } from '../devices/virtio/device.ts';
import { featureSet, hasFeature } from '../devices/virtio/features.ts';
import type { FsBackend } from '../devices/virtio/fs/backend.ts';
import type { QueueServer, ServedQueues } from '../devices/virtio/queue-server.ts';
import { createScratchFile } from '../ffi/scratch-file.unsafe.ts';
import type { UnixConnection } from '../ffi/unix-socket.unsafe.ts';
import type { Fd } from '../lib/brand.ts';
import { areReturned, enabledQueues, type ServedQueue, type StoppedQueue, untilReturned } from './rings.ts';
import { connectToBackEnd, DEFAULT_TIMEOUT_MS, VhostUserConnection } from './vhost-user-connection.ts';
import { VhostUserError } from './vhost-user-error.ts';
import {
  decodeConfig,
  decodeRingState,
  encodeConfig,
  encodeMemoryTable,
  encodeRingAddresses,
  encodeRingState,
  encodeStateTransfer,
  encodeU64,
  MAX_CONFIG_SIZE,
  MAX_MEMORY_REGIONS,
  type SharedRegion,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_F_CONFIG,
  VHOST_USER_PROTOCOL_F_DEVICE_STATE,
  VHOST_USER_PROTOCOL_F_MQ,
  VHOST_USER_PROTOCOL_F_REPLY_ACK,
  VHOST_USER_VRING_NOFD_MASK,
} from './vhost-user-message.ts';

/** Requests of the back end's own are not among them: what it would tell by those, the driver has to do without. */
const WANTED_PROTOCOL_FEATURES = featureSet(
  VHOST_USER_PROTOCOL_F_MQ,
  VHOST_USER_PROTOCOL_F_REPLY_ACK,
  VHOST_USER_PROTOCOL_F_CONFIG,
  VHOST_USER_PROTOCOL_F_DEVICE_STATE,
);
const RING_STATE_SIZE = 8;
/** What a back end gets to return what it has taken from a ring that was stopped, milliseconds. */
const RETURN_TIMEOUT_MS = 30_000;
/** What a back end gets to collect its state: it may have to look for the paths of many files, milliseconds. */
const STATE_TIMEOUT_MS = 60_000;

/** A region of guest memory that the back end may map. */
export interface SharedMemory extends SharedRegion {
  /** The memfd behind it. */
  readonly fd: Fd;
}

export interface VhostUserOptions {
  /** All of the guest's RAM. */
  readonly memory: readonly SharedMemory[];
  /** Queues that the device has: a back end with fewer is refused. */
  readonly queueCount: number;
  /** Longest wait for each answer, milliseconds. @default 5000 */
  readonly timeoutMs?: number;
}

/** A back end that somebody else runs. */
export interface VhostUserSocketOptions extends VhostUserOptions {
  /** The socket that it listens on. */
  readonly path: string;
}

/** A back end that was started for this device. */
export interface VhostUserProgramOptions extends VhostUserOptions {
  /** Belongs to the front end from here on. */
  readonly connection: UnixConnection;
  /** Whom to name in messages. */
  readonly name: string;
}

/** A connection to one back end, which serves one device, as often as the guest starts it. */
export class VhostUserFrontEnd implements QueueServer, FsBackend, Disposable {
  readonly features: bigint;
  readonly #options: VhostUserOptions;
  readonly #connection: VhostUserConnection;
  readonly #hasProtocolFeatures: boolean;
  #protocolFeatures = 0n;
  /** What to tell when the back end goes away while it serves. */
  #onFailure: ((failure: VhostUserError) => void) | undefined;
  /** Rings that were stopped and have not got back all that was taken from them. */
  readonly #returning = new Set<Promise<void>>();

  private constructor(connection: VhostUserConnection, features: bigint, options: VhostUserOptions) {
    this.#options = options;
    this.#connection = connection;
    this.features = features & ~featureSet(VHOST_USER_F_PROTOCOL_FEATURES);
    this.#hasProtocolFeatures = hasFeature(features, VHOST_USER_F_PROTOCOL_FEATURES);
    if (this.#hasProtocolFeatures) this.#agreeOnProtocol();
    connection.send('SET_OWNER');
  }

  /** Connects to a back end's socket, and agrees on the protocol. @throws VhostUserError (rejects) */
  static async connect({ path, ...options }: VhostUserSocketOptions): Promise<VhostUserFrontEnd> {
    const connection = await connectToBackEnd(path, options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    return VhostUserFrontEnd.open({ ...options, connection, name: `the vhost-user back end at ${path}` });
  }

  /** Agrees on the protocol with who is at the other end. @throws VhostUserError (rejects) */
  static async open(options: VhostUserProgramOptions): Promise<VhostUserFrontEnd> {
    const { connection: socket, name, memory, timeoutMs = DEFAULT_TIMEOUT_MS } = options;
    using stack = new DisposableStack();
    stack.use(socket);
    if (memory.length > MAX_MEMORY_REGIONS) {
      throw new VhostUserError('UNSUPPORTED', `guest memory has more than ${MAX_MEMORY_REGIONS} regions`, {
        regions: memory.length,
      });
    }
    let frontEnd: VhostUserFrontEnd | undefined;
    const onLost = (failure: VhostUserError): void => {
      if (frontEnd !== undefined) frontEnd.#tell(failure);
    };
    const { connection, features } = await VhostUserConnection.open(socket, name, timeoutMs, onLost);
    stack.use(connection);
    frontEnd = new VhostUserFrontEnd(connection, features, options);
    stack.move();
    return frontEnd;
  }

  start(context: ActivationContext): ServedQueues {
    const queues = enabledQueues(context.queues);
    const { memory } = this.#options;
    const protocolBit = this.#hasProtocolFeatures ? featureSet(VHOST_USER_F_PROTOCOL_FEATURES) : 0n;
    this.#connection.send('SET_FEATURES', encodeU64(context.features | protocolBit));
    const fds = memory.map(({ fd }) => fd);
    this.#connection.send('SET_MEM_TABLE', encodeMemoryTable(memory), fds);
    // A device that goes on from a snapshot is at rest until `resume`.
    let isAtRest = context.restored !== undefined;
    if (!isAtRest) this.#startQueues(context, queues);
    this.#onFailure = (failure) => context.fail(failure);
    return {
      quiesce: async () => {
        if (!isAtRest) await this.#quiesce(context, queues);
        isAtRest = true;
      },
      resume: () => {
        if (isAtRest) this.#startQueues(context, queues);
        isAtRest = false;
        // What was returned after the rings were stopped has not been told.
        for (const { index } of queues) context.interrupt.usedBuffer(index);
      },
      [Symbol.dispose]: () => {
        this.#onFailure = undefined;
        if (!isAtRest) this.#returnLater(context, this.#stopQueues(queues));
        isAtRest = true;
      },
    };
  }

  idle(): Promise<void> | undefined {
    if (this.#returning.size === 0) return undefined;
    return Promise.all(this.#returning).then(() => {});
  }

  /** The first bytes of the device's configuration space. @throws VhostUserError UNSUPPORTED when the back end has none */
  readConfiguration(length: number): Uint8Array {
    this.#require(VHOST_USER_PROTOCOL_F_CONFIG, 'has no configuration space');
    if (length > MAX_CONFIG_SIZE) throw new RangeError(`${length} bytes of configuration space`);
    const payload = encodeConfig(0, new Uint8Array(length));
    return decodeConfig(this.#connection.request('GET_CONFIG', payload.length, { payload })).slice();
  }

  /** Writes a part of the configuration space for the driver. @throws VhostUserError */
  writeConfiguration(offset: number, bytes: Uint8Array): void {
    this.#connection.send('SET_CONFIG', encodeConfig(offset, bytes));
  }

  /** @returns base64 of what the back end wrote */
  saveState(): string {
    using file = createScratchFile('back-end-state');
    this.#transferState('SAVE', file.fd);
    return readFileSync(`/proc/self/fd/${file.fd}`).toString('base64');
  }

  restoreState(state: string): void {
    using file = createScratchFile('back-end-state');
    const bytes = Buffer.from(state, 'base64');
    for (let done = 0; done < bytes.length; ) done += writeSync(file.fd, bytes, done, bytes.length - done, done);
    this.#transferState('LOAD', file.fd);
  }

  [Symbol.dispose](): void {
    this.#onFailure = undefined;
    this.#connection[Symbol.dispose]();
  }

  #tell(failure: VhostUserError): void {
    this.#onFailure?.(failure);
  }

  #agreeOnProtocol(): void {
    const connection = this.#connection;
    this.#protocolFeatures = connection.get('GET_PROTOCOL_FEATURES') & WANTED_PROTOCOL_FEATURES;
    connection.send('SET_PROTOCOL_FEATURES', encodeU64(this.#protocolFeatures));
    connection.hasReplyAck = this.#hasProtocolFeature(VHOST_USER_PROTOCOL_F_REPLY_ACK);
    if (!this.#hasProtocolFeature(VHOST_USER_PROTOCOL_F_MQ)) return;
    const available = connection.get('GET_QUEUE_NUM');
    const { queueCount } = this.#options;
    if (available < BigInt(queueCount)) {
      const message = `${connection.name} serves ${available} queues, the device has ${queueCount}`;
      throw new VhostUserError('UNSUPPORTED', message, { name: connection.name, available });
    }
  }

  #hasProtocolFeature(bit: number): boolean {
    return hasFeature(this.#protocolFeatures, bit);
  }

  #require(bit: number, otherwise: string): void {
    if (this.#hasProtocolFeature(bit)) return;
    const { name } = this.#connection;
    throw new VhostUserError('UNSUPPORTED', `${name} ${otherwise}`, { name });
  }

  /** Starts all the rings, or none. */
  #startQueues(context: ActivationContext, queues: readonly ServedQueue[]): void {
    const started: ServedQueue[] = [];
    try {
      for (const served of queues) {
        started.push(served);
        this.#startQueue(context, served);
      }
    } catch (error) {
      this.#stopQueues(started);
      throw error;
    }
  }

  #startQueue(context: ActivationContext, { index, queue }: ServedQueue): void {
    const connection = this.#connection;
    const { kick, call } = context.eventFds(index);
    connection.send('SET_VRING_NUM', encodeRingState(index, queue.size));
    connection.send('SET_VRING_BASE', encodeRingState(index, queue.position.nextAvailable));
    connection.send('SET_VRING_ADDR', encodeRingAddresses(index, queue));
    // The low byte is the queue; the flag for "no descriptor" stays clear.
    connection.send('SET_VRING_CALL', encodeU64(BigInt(index)), [call]);
    connection.send('SET_VRING_KICK', encodeU64(BigInt(index)), [kick]);
    // With protocol features agreed on, a ring starts disabled.
    if (this.#hasProtocolFeatures) connection.send('SET_VRING_ENABLE', encodeRingState(index, 1));
  }

  /** After this the back end takes nothing more from the rings; what it has taken it may still return. */
  #stopQueues(queues: readonly ServedQueue[]): StoppedQueue[] {
    return queues.flatMap((served) => {
      // Who is gone serves nothing any more.
      if (this.#connection.failure !== undefined) return [];
      const payload = encodeRingState(served.index, 0);
      const state = this.#connection.request('GET_VRING_BASE', RING_STATE_SIZE, { payload });
      return [{ ...served, stoppedAt: decodeRingState(state) & 0xffff }];
    });
  }

  async #quiesce(context: ActivationContext, queues: readonly ServedQueue[]): Promise<void> {
    const stopped = this.#stopQueues(queues);
    if (this.#connection.failure !== undefined) throw this.#connection.failure;
    const isReturned = await untilReturned(context.memory, stopped, RETURN_TIMEOUT_MS, () => this.#isGone());
    for (const { queue, stoppedAt } of stopped) queue.continueFrom(stoppedAt);
    if (isReturned) return;
    this.#startQueues(context, queues);
    const { name } = this.#connection;
    const message = `${name} did not finish what the guest had asked of it within ${RETURN_TIMEOUT_MS / 1000} s`;
    throw new VhostUserError('BUSY', message, { name });
  }

  #returnLater(context: ActivationContext, stopped: readonly StoppedQueue[]): void {
    if (areReturned(context.memory, stopped)) return;
    const returned = untilReturned(context.memory, stopped, RETURN_TIMEOUT_MS, () => this.#isGone())
      .then(() => {})
      .finally(() => this.#returning.delete(returned));
    this.#returning.add(returned);
  }

  #isGone(): boolean {
    return this.#connection.failure !== undefined;
  }

  #transferState(direction: 'SAVE' | 'LOAD', fd: Fd): void {
    this.#require(
      VHOST_USER_PROTOCOL_F_DEVICE_STATE,
      'cannot hand on what the guest has open, as a snapshot needs: use virtiofsd 1.11 or newer (package virtiofsd of Debian 13), or no share',
    );
    const connection = this.#connection;
    const answer = connection.get('SET_DEVICE_STATE_FD', { payload: encodeStateTransfer(direction), fds: [fd] });
    if (answer !== VHOST_USER_VRING_NOFD_MASK) {
      throw connection.protocolError('SET_DEVICE_STATE_FD', `0x${answer.toString(16)}`);
    }
    // It answers when the transfer is done.
    const result = connection.get('CHECK_DEVICE_STATE', { timeoutMs: STATE_TIMEOUT_MS });
    if (result === 0n) return;
    const what = direction === 'SAVE' ? 'save' : 'take over';
    const { name } = connection;
    throw new VhostUserError('PROTOCOL', `${name} could not ${what} what the guest has open: see its own messages`, {
      name,
    });
  }
}
