// The memory device (virtio 1.3, 5.15): a region whose blocks become RAM and stop being RAM while the guest runs. We say how
// much the driver is to have; it chooses the blocks. It never gets more than we said, and what it did not plug is not there.

import { alignUp } from '../../../lib/units.ts';
import { SavedFields, SavedStateError } from '../../saved-state.ts';
import {
  VIRTIO_F_VERSION_1,
  VIRTIO_ID_MEM,
  VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE,
  VIRTIO_RING_F_EVENT_IDX,
} from '../abi.gen.ts';
import type { Chain } from '../chain.ts';
import type { ActivationContext, ActiveDevice, DeviceState, VirtioDevice } from '../device.ts';
import { drain, type QueueWork, requireQueue } from '../drain.ts';
import { featureSet, hasFeature } from '../features.ts';
import type { MemoryBackend } from './backend.ts';
import { BlockMap, numbersOf } from './block-map.ts';
import { MemoryConfigSpace, type MemoryLayout } from './config-space.ts';
import { decodeRequest, encodeResponse, type MemoryResponse, REQUEST_SIZE, RESPONSE_SIZE } from './request.ts';

/** The queue (virtio 1.3, 5.15.2). */
export const MEMORY_QUEUE = { guestRequest: 0 } as const;
/** Linux has one request at a time in it. */
const QUEUE_SIZE = 16;
/** Blocks that are plugged or unplugged before the event loop serves others: a few system calls each. */
const MAX_BLOCKS_PER_TURN = 256;

export interface MemoryDeviceOptions {
  readonly backend: MemoryBackend;
  readonly layout: MemoryLayout;
  /** What can be requested at most, bytes; not more than the region. */
  readonly maximumSize: number;
  /** Told when the host could not do what a driver asked for, for logs. */
  readonly onError?: (error: unknown) => void;
}

interface MemoryCounts {
  plugged_blocks: number;
  unplugged_blocks: number;
  /** Requests that made no sense, or were for more than is to be had. */
  refused_requests: number;
  /** Requests that the host could not carry out. */
  failed_requests: number;
}

export class MemoryDevice implements VirtioDevice {
  readonly name = 'mem';
  readonly deviceId = VIRTIO_ID_MEM;
  readonly features: bigint = featureSet(
    VIRTIO_F_VERSION_1,
    VIRTIO_RING_F_EVENT_IDX,
    VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE,
  );
  readonly queueSizes = [QUEUE_SIZE];
  readonly #options: MemoryDeviceOptions;
  readonly #space: MemoryConfigSpace;
  readonly #map: BlockMap;
  readonly #counts: MemoryCounts = {
    plugged_blocks: 0,
    unplugged_blocks: 0,
    refused_requests: 0,
    failed_requests: 0,
  };
  #active: ActiveMemory | undefined;
  #reached: PromiseWithResolvers<void> | undefined;

  constructor(options: MemoryDeviceOptions) {
    const { layout } = options;
    this.#options = options;
    this.#space = new MemoryConfigSpace(layout);
    this.#map = new BlockMap(layout.size / layout.blockSize);
  }

  get configurationSpace(): Uint8Array {
    return this.#space.bytes;
  }

  /** How much the driver is to have plugged, bytes. */
  get requestedSize(): number {
    return this.#space.requestedSize;
  }

  /** How much is plugged, bytes. */
  get pluggedSize(): number {
    return this.#map.pluggedCount * this.#options.layout.blockSize;
  }

  /** Whether all of these bytes of the region are plugged. */
  isPlugged(offset: number, length: number): boolean {
    const { blockSize } = this.#options.layout;
    const first = Math.floor(offset / blockSize);
    const count = Math.floor((offset + Math.max(length, 1) - 1) / blockSize) - first + 1;
    return this.#map.has({ first, count }) && this.#map.state({ first, count }) === 'plugged';
  }

  /** What is plugged, in bytes from the start of the region, neighbours joined. */
  *pluggedRanges(): Generator<{ readonly offset: number; readonly length: number }> {
    const { blockSize } = this.#options.layout;
    for (const { first, count } of this.#map.pluggedRanges()) {
      yield { offset: first * blockSize, length: count * blockSize };
    }
  }

  /**
   * Tells the driver how much it is to have plugged.
   * @param size bytes, rounded up to whole blocks
   * @throws RangeError when that is more than the device has
   */
  request(size: number): void {
    const { maximumSize, layout } = this.#options;
    if (!(size >= 0 && size <= maximumSize)) {
      throw new RangeError(`${size} bytes of memory that is plugged: the device has 0 to ${maximumSize}`);
    }
    this.#space.requestedSize = alignUp(size, layout.blockSize);
    this.#active?.configurationChanged();
    this.#tellWaiters();
  }

  /** Settles when as much is plugged as was last requested; a driver may never come to that. */
  whenReached(): Promise<void> {
    this.#reached ??= Promise.withResolvers();
    const { promise } = this.#reached;
    this.#tellWaiters();
    return promise;
  }

  /** @throws QueueError when the driver did not set up the queue; Error when it would read memory that is not there */
  activate(context: ActivationContext): ActiveDevice {
    // "A device MAY fail to operate further if VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE is not accepted" (virtio 1.3, 5.15.5):
    // a driver without it may read what is not there. Linux has it since 5.16.
    if (!hasFeature(context.features, VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE)) {
      throw new Error('the driver does not accept VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE, as Linux does from 5.16 on');
    }
    const active = new ActiveMemory(context, {
      answer: (request) => this.#answer(request),
      onDispose: () => {
        if (this.#active === active) this.#active = undefined;
      },
    });
    this.#active = active;
    return active;
  }

  metrics(): Readonly<Record<string, number>> {
    return { ...this.#counts, requested_bytes: this.requestedSize, plugged_bytes: this.pluggedSize };
  }

  /**
   * What is plugged, for a snapshot: it belongs to the machine, as other RAM does, whether the device has a driver or not.
   * "The device MUST NOT change the state of memory blocks during device reset" (virtio 1.3, 5.15.5).
   */
  saveState(): DeviceState {
    return { requestedSize: this.requestedSize, plugged: this.#map.plugged() };
  }

  /**
   * Plugs what was plugged in a VM that was saved, before this one has run.
   * @throws SavedStateError when it cannot have been, and what the back end throws
   */
  restoreState(state: unknown): void {
    const { layout, maximumSize, backend } = this.#options;
    const fields = new SavedFields(this.name, state);
    const largest = alignUp(maximumSize, layout.blockSize);
    const requestedSize = fields.integer('requestedSize', largest);
    const plugged = fields.value('plugged');
    const isBlock = (block: unknown): block is number =>
      typeof block === 'number' && Number.isInteger(block) && this.#map.has({ first: block, count: 1 });
    if (requestedSize % layout.blockSize !== 0) {
      throw new SavedStateError(this.name, 'requestedSize', requestedSize, `a multiple of ${layout.blockSize}`);
    }
    if (!Array.isArray(plugged) || !plugged.every(isBlock) || plugged.length * layout.blockSize > largest) {
      throw new SavedStateError(this.name, 'plugged', plugged, `numbers of blocks of ${layout.blockSize} bytes`);
    }
    for (const block of new Set(plugged)) {
      backend.plug(block);
      this.#map.set(block, true);
    }
    this.#space.requestedSize = requestedSize;
    this.#space.pluggedSize = this.pluggedSize;
  }

  /** @returns the answer, and how many blocks it took to find it */
  #answer(bytes: Uint8Array): { readonly response: MemoryResponse; readonly blocks: number } {
    const request = decodeRequest(bytes, this.#options.layout);
    const response = this.#carryOut(request);
    if (response.type === 'error' || response.type === 'nack') this.#counts.refused_requests += 1;
    const blocks = 'blocks' in request ? (request.blocks?.count ?? 0) : 0;
    return { response, blocks: request.kind === 'unplug-all' ? MAX_BLOCKS_PER_TURN : blocks };
  }

  #carryOut(request: ReturnType<typeof decodeRequest>): MemoryResponse {
    if (request.kind === 'unsupported') return { type: 'error' };
    if (request.kind === 'unplug-all') return this.#change(this.#map.plugged(), false);
    const { kind, blocks } = request;
    if (blocks === undefined || !this.#map.has(blocks)) return { type: 'error' };
    const state = this.#map.state(blocks);
    switch (kind) {
      case 'state':
        return { type: 'ack', state: state ?? 'mixed' };
      case 'plug': {
        if (state !== 'unplugged') return { type: 'error' };
        const size = this.pluggedSize + blocks.count * this.#options.layout.blockSize;
        return size > this.requestedSize ? { type: 'nack' } : this.#change(numbersOf(blocks), true);
      }
      case 'unplug':
        return state === 'plugged' ? this.#change(numbersOf(blocks), false) : { type: 'error' };
    }
  }

  /** Plugs or unplugs all of the blocks, or none. @throws when the host can neither go on nor go back */
  #change(blocks: readonly number[], isPlugged: boolean): MemoryResponse {
    const done: number[] = [];
    try {
      for (const block of blocks) {
        this.#setBlock(block, isPlugged);
        done.push(block);
      }
    } catch (error) {
      for (const block of done) this.#setBlock(block, !isPlugged);
      this.#counts.failed_requests += 1;
      this.#options.onError?.(error);
      return { type: 'busy' };
    }
    this.#counts[isPlugged ? 'plugged_blocks' : 'unplugged_blocks'] += blocks.length;
    this.#space.pluggedSize = this.pluggedSize;
    this.#active?.refreshConfiguration();
    this.#tellWaiters();
    return { type: 'ack' };
  }

  #setBlock(block: number, isPlugged: boolean): void {
    const { backend } = this.#options;
    if (isPlugged) backend.plug(block);
    else backend.unplug(block);
    this.#map.set(block, isPlugged);
  }

  #tellWaiters(): void {
    if (this.pluggedSize !== this.requestedSize) return;
    this.#reached?.resolve();
    this.#reached = undefined;
  }
}

/** What an activation needs of its device. */
interface Owner {
  answer(request: Uint8Array): { readonly response: MemoryResponse; readonly blocks: number };
  onDispose(): void;
}

class ActiveMemory implements ActiveDevice {
  readonly #context: ActivationContext;
  readonly #owner: Owner;
  readonly #work: QueueWork;
  #blocksThisTurn = 0;
  #isDeferred = false;

  constructor(context: ActivationContext, owner: Owner) {
    this.#context = context;
    this.#owner = owner;
    this.#work = {
      queueIndex: MEMORY_QUEUE.guestRequest,
      queue: requireQueue(context, MEMORY_QUEUE.guestRequest),
      handle: (chain) => this.#handle(chain),
      canTake: () => this.#hasBudget(),
    };
  }

  queueNotified(): void {
    drain(this.#context, this.#work);
  }

  configurationChanged(): void {
    this.#context.interrupt.configurationChange();
  }

  refreshConfiguration(): void {
    this.#context.refreshConfiguration();
  }

  [Symbol.dispose](): void {
    this.#owner.onDispose();
  }

  /** @throws QueueError BUFFER_LAYOUT, before anything is done */
  #handle(chain: Chain): void {
    const { readable, writable } = chain;
    const request = readable.copy(0, REQUEST_SIZE);
    const room = writable.part(0, RESPONSE_SIZE);
    const { response, blocks } = this.#owner.answer(request);
    this.#blocksThisTurn += blocks;
    room.write(0, encodeResponse(response));
    this.#work.queue.putUsed(chain, RESPONSE_SIZE);
  }

  #hasBudget(): boolean {
    if (this.#blocksThisTurn < MAX_BLOCKS_PER_TURN) return true;
    if (!this.#isDeferred) {
      this.#isDeferred = true;
      this.#context.defer(() => {
        this.#isDeferred = false;
        this.#blocksThisTurn = 0;
        drain(this.#context, this.#work);
      });
    }
    return false;
  }
}
