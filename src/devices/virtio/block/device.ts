// The block device (virtio 1.3, 5.2). Requests are parsed here and carried out by a back end, several at a time; they go
// back to the driver in the order in which they finish. Long ones are cut into pieces, so that what is in flight when the
// driver resets the device ends soon.

import { KIB, MIB } from '../../../lib/units.ts';
import {
  VIRTIO_BLK_F_BLK_SIZE,
  VIRTIO_BLK_F_CONFIG_WCE,
  VIRTIO_BLK_F_DISCARD,
  VIRTIO_BLK_F_FLUSH,
  VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_TOPOLOGY,
  VIRTIO_BLK_F_WRITE_ZEROES,
  VIRTIO_BLK_ID_BYTES,
  VIRTIO_BLK_S_IOERR,
  VIRTIO_BLK_S_OK,
  VIRTIO_BLK_S_UNSUPP,
  VIRTIO_F_VERSION_1,
  VIRTIO_ID_BLOCK,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
  virtio_blk_config,
} from '../abi.gen.ts';
import type { Chain, ScatterList } from '../chain.ts';
import type { ActivationContext, ActiveDevice, DeviceState, VirtioDevice } from '../device.ts';
import { drain, interruptIfWanted, type QueueWork, requireQueue } from '../drain.ts';
import { featureSet, hasFeature } from '../features.ts';
import { type RateLimiter, readLimiterState } from '../rate-limiter.ts';
import type { BlockBackend } from './backend.ts';
import { blockConfigSpace, type RangeLimits, SECTOR_SIZE, WRITEBACK, WRITETHROUGH } from './config-space.ts';
import { type BlockRequest, type DiskRange, dataRoom, HEADER_SIZE, parseRequest } from './request.ts';

/** The queue (virtio 1.3, 5.2.2). */
export const BLOCK_QUEUE = { request: 0 } as const;
const QUEUE_SIZE = 256;
/** A chain has at most as many descriptors as the queue; two are the header and the status. */
const MAX_SEGMENTS = QUEUE_SIZE - 2;
/** Requests that the back end works on at a time. More would wait there instead of in the ring. */
export const MAX_IN_FLIGHT = 32;
/** The longest piece of a transfer, bytes. */
const TRANSFER_PIECE = 1024 * KIB;
/** The longest piece of a discard or write-zeroes range, bytes. */
const RANGE_PIECE = 16 * MIB;
const RANGE_LIMITS: RangeLimits = { maxSectors: (256 * MIB) / SECTOR_SIZE, maxRanges: 32 };

export interface BlockOptions {
  /** For logs: "root". */
  readonly name: string;
  readonly backend: BlockBackend;
  /** The serial number that the guest sees, up to 20 characters of ASCII. @default `name`, cut to 20 characters */
  readonly id?: string;
  /** What the driver may ask for: requests of all kinds, and bytes of reads and writes. @default no limit */
  readonly limiter?: RateLimiter;
  /** Told of every request that the back end failed, for logs; the driver sees VIRTIO_BLK_S_IOERR. */
  readonly onError?: (error: unknown) => void;
}

export class BlockDevice implements VirtioDevice {
  readonly name: string;
  readonly deviceId = VIRTIO_ID_BLOCK;
  readonly features: bigint;
  readonly queueSizes = [QUEUE_SIZE];
  readonly configurationSpace: Uint8Array;
  readonly #backend: BlockBackend;
  readonly #id: Uint8Array;
  readonly #limiter: RateLimiter | undefined;
  readonly #onError: (error: unknown) => void;
  #active: ActiveBlock | undefined;
  /** Requests that the back end works on, those of drivers that have gone included. */
  #inFlight = 0;
  #idleWaiters: (() => void)[] = [];
  readonly #counts = {
    read_requests: 0,
    read_bytes: 0,
    write_requests: 0,
    write_bytes: 0,
    flush_requests: 0,
    discard_requests: 0,
    write_zeroes_requests: 0,
    /** Unknown, malformed or not allowed: answered without the back end. */
    refused_requests: 0,
    failed_requests: 0,
  };

  /** @throws RangeError when the id does not fit or the back end's sizes do not make a disk */
  constructor({ name, backend, id = name.slice(0, VIRTIO_BLK_ID_BYTES), limiter, onError = () => {} }: BlockOptions) {
    this.name = `block:${name}`;
    this.#backend = backend;
    this.#limiter = limiter;
    this.#onError = onError;
    this.#id = encodeId(id);
    const { size, blockSize, physicalBlockSize, readOnly } = backend;
    const canDiscard = !readOnly && backend.canDiscard;
    // "Devices SHOULD always offer VIRTIO_BLK_F_FLUSH, and MUST offer it if they offer VIRTIO_BLK_F_CONFIG_WCE"
    // (virtio 1.3, 5.2.5.2).
    this.features = featureSet(
      VIRTIO_F_VERSION_1,
      VIRTIO_RING_F_EVENT_IDX,
      VIRTIO_RING_F_INDIRECT_DESC,
      VIRTIO_BLK_F_SEG_MAX,
      VIRTIO_BLK_F_BLK_SIZE,
      VIRTIO_BLK_F_TOPOLOGY,
      VIRTIO_BLK_F_FLUSH,
      ...(readOnly ? [VIRTIO_BLK_F_RO] : [VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_WRITE_ZEROES]),
      ...(canDiscard ? [VIRTIO_BLK_F_DISCARD] : []),
    );
    this.configurationSpace = blockConfigSpace({
      size,
      blockSize,
      physicalBlockSize,
      maxSegments: MAX_SEGMENTS,
      discard: canDiscard ? RANGE_LIMITS : undefined,
      writeZeroes: readOnly ? undefined : RANGE_LIMITS,
    });
  }

  /** @throws QueueError when the driver did not set up the queue; TypeError when a restored state is none of a disk's */
  activate(context: ActivationContext): ActiveDevice {
    if (context.restored !== undefined) {
      const { writethrough } = context.restored;
      if (typeof writethrough !== 'boolean') throw new TypeError('the state of a disk has no cache mode');
      this.#setCacheMode(writethrough ? WRITETHROUGH : WRITEBACK);
      if (this.#limiter !== undefined) this.#limiter.state = readLimiterState(context.restored['limiter']);
    }
    // "If VIRTIO_BLK_F_CONFIG_WCE is negotiated but VIRTIO_BLK_F_FLUSH is not, the device MUST initialize writeback to 0"
    // (virtio 1.3, 5.2.5.2). Without either, the driver may rely on a writethrough cache (5.2.5.1).
    if (!hasFeature(context.features, VIRTIO_BLK_F_FLUSH)) {
      this.#setCacheMode(WRITETHROUGH);
      context.interrupt.configurationChange();
    }
    const active = new ActiveBlock(context, this.#backend, {
      id: this.#id,
      limiter: this.#limiter,
      isWritethrough: () => this.configurationSpace[virtio_blk_config.wce] === WRITETHROUGH,
      started: () => {
        this.#inFlight += 1;
      },
      finished: () => this.#finished(),
      idle: () => this.idle(),
      counts: this.#counts,
      inFlight: () => this.#inFlight,
      onError: this.#onError,
      onDispose: () => {
        if (this.#active === active) this.#active = undefined;
        this.#setCacheMode(WRITEBACK);
      },
    });
    this.#active = active;
    return active;
  }

  /** The driver chooses the cache mode by `writeback`; all else is read-only. */
  writeConfiguration(offset: number, bytes: Uint8Array): void {
    const offered = hasFeature(this.features, VIRTIO_BLK_F_CONFIG_WCE);
    if (!offered || offset !== virtio_blk_config.wce || bytes.length !== 1) return;
    this.#setCacheMode(bytes[0] === WRITETHROUGH ? WRITETHROUGH : WRITEBACK);
  }

  /**
   * What the back end has begun, it ends: a read that the kernel works on still fills the driver's memory after a reset.
   * @returns undefined when it works on no request of this device
   */
  idle(): Promise<void> | undefined {
    if (this.#inFlight === 0) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#idleWaiters.push(resolve);
    return promise;
  }

  metrics(): Readonly<Record<string, number>> {
    return { ...this.#counts, throttled_events: this.#limiter?.throttled ?? 0 };
  }

  #setCacheMode(mode: number): void {
    this.configurationSpace[virtio_blk_config.wce] = mode;
  }

  #finished(): void {
    this.#inFlight -= 1;
    this.#active?.roomMade();
    if (this.#inFlight > 0) return;
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiters) resolve();
  }
}

type BlockCounts = Record<
  | `${'read' | 'write' | 'flush' | 'discard' | 'write_zeroes' | 'refused' | 'failed'}_requests`
  | `${'read' | 'write'}_bytes`,
  number
>;

/** What an activation needs of its device. */
interface Owner {
  /** VIRTIO_BLK_ID_BYTES bytes. */
  readonly id: Uint8Array;
  readonly limiter: RateLimiter | undefined;
  isWritethrough(): boolean;
  started(): void;
  finished(): void;
  /** Settles once no request is in flight; undefined when that is so already. */
  idle(): Promise<void> | undefined;
  readonly counts: BlockCounts;
  /** Requests of this and of former activations. */
  inFlight(): number;
  onError(error: unknown): void;
  onDispose(): void;
}

class ActiveBlock implements ActiveDevice {
  readonly #context: ActivationContext;
  readonly #backend: BlockBackend;
  readonly #owner: Owner;
  readonly #work: QueueWork;
  #inFlight = 0;
  #waitsForRoom = false;
  #isResting = false;
  #limiterWait: Disposable | undefined;
  #ended = false;

  constructor(context: ActivationContext, backend: BlockBackend, owner: Owner) {
    this.#context = context;
    this.#backend = backend;
    this.#owner = owner;
    this.#work = {
      queueIndex: BLOCK_QUEUE.request,
      queue: requireQueue(context, BLOCK_QUEUE.request),
      handle: (chain) => this.#handle(chain),
      canTake: () => {
        // What a former driver asked for must not change the disk after what this one asks for.
        const former = owner.inFlight() - this.#inFlight;
        this.#waitsForRoom = former > 0 || this.#inFlight >= MAX_IN_FLIGHT;
        return !this.#waitsForRoom && !this.#isResting && this.#isAdmitted();
      },
    };
  }

  queueNotified(): void {
    drain(this.#context, this.#work);
  }

  /** A request has finished, of this activation or of a former one. */
  roomMade(): void {
    if (!this.#waitsForRoom) return;
    this.#context.guard(() => drain(this.#context, this.#work));
  }

  /**
   * Takes no more requests and waits for those that it has. There is no flush: what the disk's file holds is the host's
   * business, as it is for a disk that goes on.
   */
  async quiesce(): Promise<void> {
    this.#isResting = true;
    this.#stopWaiting();
    await this.#owner.idle();
  }

  resume(): void {
    this.#isResting = false;
  }

  saveState(): DeviceState {
    return { writethrough: this.#owner.isWritethrough(), limiter: { ...this.#owner.limiter?.state } };
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    this.#stopWaiting();
    this.#owner.onDispose();
  }

  /** Whether the limiter lets the next request begin; else it calls when it does. */
  #isAdmitted(): boolean {
    const { limiter } = this.#owner;
    if (limiter === undefined || !this.#work.queue.hasAvailable) return true;
    if (this.#limiterWait !== undefined) return false;
    if (limiter.admits()) return true;
    this.#limiterWait = limiter.whenAdmitted(() => {
      this.#limiterWait = undefined;
      this.#context.guard(() => drain(this.#context, this.#work));
    });
    return false;
  }

  #stopWaiting(): void {
    this.#limiterWait?.[Symbol.dispose]();
    this.#limiterWait = undefined;
  }

  #handle(chain: Chain): void {
    const { size, readOnly } = this.#backend;
    const { features } = this.#context;
    const request = parseRequest(chain, { size, readOnly, features, rangeLimits: RANGE_LIMITS });
    this.#owner.limiter?.charge(request.kind === 'read' || request.kind === 'write' ? request.length : 0);
    switch (request.kind) {
      case 'unsupported':
        this.#owner.counts.refused_requests += 1;
        this.#putUsed(chain, VIRTIO_BLK_S_UNSUPP, 0);
        return;
      case 'invalid':
        this.#owner.counts.refused_requests += 1;
        this.#putUsed(chain, VIRTIO_BLK_S_IOERR, 0);
        return;
      case 'get-id':
        chain.writable.write(0, this.#owner.id);
        this.#putUsed(chain, VIRTIO_BLK_S_OK, VIRTIO_BLK_ID_BYTES);
        return;
      case 'read':
      case 'write':
      case 'flush':
      case 'discard':
      case 'write-zeroes':
        void this.#run(request, chain);
    }
  }

  /** Never rejects: whatever goes wrong ends in the status, or fails the device. */
  async #run(request: BackendRequest, chain: Chain): Promise<void> {
    this.#inFlight += 1;
    this.#owner.started();
    let failure: { readonly error: unknown } | undefined;
    try {
      await this.#perform(request, chain);
    } catch (error) {
      failure = { error };
    }
    this.#inFlight -= 1;
    count(this.#owner.counts, request, failure === undefined);
    // Nothing of this happens after a reset: the ring is another driver's by then.
    this.#context.guard(() => {
      if (failure !== undefined) this.#owner.onError(failure.error);
      const written = request.kind === 'read' && failure === undefined ? request.length : 0;
      this.#putUsed(chain, failure === undefined ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR, written);
      interruptIfWanted(this.#context, BLOCK_QUEUE.request, this.#work.queue);
    });
    this.#owner.finished();
  }

  async #perform(request: BackendRequest, chain: Chain): Promise<void> {
    const backend = this.#backend;
    switch (request.kind) {
      case 'read':
        for (const piece of this.#pieces({ offset: 0, length: request.length }, TRANSFER_PIECE)) {
          await backend.read(request.offset + piece.offset, part(chain.writable, piece));
        }
        return;
      case 'write':
        for (const piece of this.#pieces({ offset: 0, length: request.length }, TRANSFER_PIECE)) {
          const data = part(chain.readable, { offset: HEADER_SIZE + piece.offset, length: piece.length });
          await backend.write(request.offset + piece.offset, data);
        }
        break;
      case 'flush':
        if (!backend.readOnly) await backend.flush();
        return;
      case 'discard':
        for (const range of request.ranges) {
          for (const { offset, length } of this.#pieces(range, RANGE_PIECE)) await backend.discard(offset, length);
        }
        return;
      case 'write-zeroes':
        for (const range of request.ranges) {
          for (const { offset, length } of this.#pieces(range, RANGE_PIECE)) {
            await backend.writeZeroes(offset, length, range.mayDiscard);
          }
        }
        break;
    }
    // With a writethrough cache a write is stable when it completes (virtio 1.3, 5.2.6.2).
    if (!this.#ended && this.#owner.isWritethrough()) await backend.flush();
  }

  /** Cuts a range; there are no more pieces once the driver has gone. */
  *#pieces({ offset, length }: DiskRange, step: number): Generator<DiskRange> {
    for (let done = 0; done < length && !this.#ended; done += step) {
      yield { offset: offset + done, length: Math.min(step, length - done) };
    }
  }

  /** @param written bytes of data that the driver gets */
  #putUsed(chain: Chain, status: number, written: number): void {
    const room = dataRoom(chain);
    chain.writable.write(room, Uint8Array.of(status));
    // The length counts from the start of the writable part: the status byte only when all before it was written. Less
    // than what was written is allowed, more is not (virtio 1.3, 2.7.8.2).
    this.#work.queue.putUsed(chain, written === room ? chain.writable.length : written);
  }
}

type BackendRequest = Exclude<BlockRequest, { readonly kind: 'unsupported' | 'invalid' | 'get-id' }>;

function count(counts: BlockCounts, request: BackendRequest, succeeded: boolean): void {
  counts[`${request.kind === 'write-zeroes' ? 'write_zeroes' : request.kind}_requests`] += 1;
  if (!succeeded) counts.failed_requests += 1;
  else if (request.kind === 'read' || request.kind === 'write') counts[`${request.kind}_bytes`] += request.length;
}

function part(list: ScatterList, { offset, length }: DiskRange): readonly Uint8Array[] {
  return list.part(offset, length).segments;
}

/** @throws RangeError when the id is no ASCII or longer than VIRTIO_BLK_ID_BYTES */
function encodeId(id: string): Uint8Array {
  if (id.length > VIRTIO_BLK_ID_BYTES || !/^[\x20-\x7e]*$/.test(id)) {
    throw new RangeError(`the disk id "${id}" is not up to ${VIRTIO_BLK_ID_BYTES} printable ASCII characters`);
  }
  const bytes = new Uint8Array(VIRTIO_BLK_ID_BYTES);
  bytes.set(new TextEncoder().encode(id));
  return bytes;
}
