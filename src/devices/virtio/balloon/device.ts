// The memory balloon (virtio 1.3, 5.5): the driver gives pages up, by our wish or because they are free, and the host gets
// them back. What is given up is a hint: a page that the guest uses again is a page of zeros, whatever its driver promised.
// Page numbers are the guest's word; only RAM is ever given back.

import { MIB } from '../../../lib/units.ts';
import {
  VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
  VIRTIO_BALLOON_F_PAGE_POISON,
  VIRTIO_BALLOON_F_REPORTING,
  VIRTIO_BALLOON_F_STATS_VQ,
  VIRTIO_F_VERSION_1,
  VIRTIO_ID_BALLOON,
  VIRTIO_RING_F_EVENT_IDX,
} from '../abi.gen.ts';
import type { Chain } from '../chain.ts';
import type { ActivationContext, ActiveDevice, DeviceState, VirtioDevice } from '../device.ts';
import { drain, interruptIfWanted, type QueueWork, requireQueue } from '../drain.ts';
import { featureSet, hasFeature } from '../features.ts';
import { QueueError } from '../queue-error.ts';
import type { Timers } from '../timers.ts';
import type { BalloonBackend } from './backend.ts';
import { BALLOON_PAGE_SIZE, BalloonConfigSpace } from './config-space.ts';
import {
  type BalloonStatistics,
  decodeStatistics,
  MAX_STATISTICS_SIZE,
  PAGE_NUMBER_SIZE,
  type PageRange,
  pageRanges,
  wholePages,
} from './request.ts';

/** Linux reports up to 32 blocks at a time, and gives no fewer descriptors to them. */
const QUEUE_SIZE = 128;
/** Page numbers in one buffer. Linux sends 256 at a time, Windows 1024. */
export const MAX_PAGES_PER_BUFFER = 4096;
/** Ranges looked at before the event loop serves others: a system call for each that is RAM. */
const MAX_RANGES_PER_TURN = 1024;
const PAGES_PER_MIB = MIB / BALLOON_PAGE_SIZE;
const U32_MAX = 0xffff_ffff;

export interface BalloonOptions {
  readonly backend: BalloonBackend;
  readonly timers: Timers;
  /** RAM of the guest, bytes: what the balloon can hold at most. */
  readonly memorySize: number;
  /** How much the balloon is to hold at first. @default 0 */
  readonly targetMib?: number;
  /** Whether the guest may take memory out of the balloon rather than kill a process. @default false */
  readonly deflateOnOom?: boolean;
  /** Whether the guest reports free pages as they become free. @default false */
  readonly freePageReporting?: boolean;
  /** Time between two looks at the statistics. @default only when they are asked for */
  readonly statisticsIntervalMs?: number;
  /** Told when the host could not take pages back, for logs. */
  readonly onError?: (error: unknown) => void;
}

interface BalloonCounts {
  inflated_pages: number;
  deflated_pages: number;
  reported_bytes: number;
  discarded_bytes: number;
  /** Page numbers that are not RAM. */
  refused_pages: number;
  failed_discards: number;
}

/** The statistics were asked for, and there is no driver that has any. */
export class NoStatisticsError extends Error {}

export class BalloonDevice implements VirtioDevice {
  readonly name = 'balloon';
  readonly deviceId = VIRTIO_ID_BALLOON;
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  readonly #options: BalloonOptions;
  readonly #space = new BalloonConfigSpace();
  readonly #counts: BalloonCounts = {
    inflated_pages: 0,
    deflated_pages: 0,
    reported_bytes: 0,
    discarded_bytes: 0,
    refused_pages: 0,
    failed_discards: 0,
  };
  #active: ActiveBalloon | undefined;
  #statistics: BalloonStatistics | undefined;

  /** @throws RangeError when the target is larger than the guest's memory */
  constructor(options: BalloonOptions) {
    const { targetMib = 0, deflateOnOom = false, freePageReporting = false } = options;
    this.#options = options;
    // PAGE_POISON goes with reporting: a Linux that fills free pages reports them only to a device that knows with what.
    // MUST_TELL_HOST is not needed, a page comes back by itself; FREE_PAGE_HINT is for migration, which there is not.
    this.features = featureSet(
      VIRTIO_F_VERSION_1,
      VIRTIO_RING_F_EVENT_IDX,
      VIRTIO_BALLOON_F_STATS_VQ,
      ...(deflateOnOom ? [VIRTIO_BALLOON_F_DEFLATE_ON_OOM] : []),
      ...(freePageReporting ? [VIRTIO_BALLOON_F_REPORTING, VIRTIO_BALLOON_F_PAGE_POISON] : []),
    );
    const queueCount = balloonQueues(this.features).length;
    this.queueSizes = Array.from({ length: queueCount }, () => QUEUE_SIZE);
    this.setTarget(targetMib);
  }

  get configurationSpace(): Uint8Array {
    return this.#space.bytes;
  }

  /** How much the balloon is to hold, MiB. */
  get targetMib(): number {
    return this.#space.targetPages / PAGES_PER_MIB;
  }

  /** How much the balloon holds, as the driver says, MiB. */
  get actualMib(): number {
    return this.#space.actualPages / PAGES_PER_MIB;
  }

  /** What the driver last said about the guest's memory; undefined before it did. */
  get statistics(): BalloonStatistics | undefined {
    return this.#statistics;
  }

  /** Tells the driver how much the balloon is to hold. @throws RangeError when the guest does not have that much */
  setTarget(mib: number): void {
    const maximum = Math.min(this.#options.memorySize / MIB, U32_MAX / PAGES_PER_MIB);
    if (!Number.isInteger(mib) || mib < 0 || mib > maximum) {
      throw new RangeError(`a balloon of ${mib} MiB: the guest can give 0 to ${Math.floor(maximum)}`);
    }
    this.#space.targetPages = mib * PAGES_PER_MIB;
    this.#active?.configurationChanged();
  }

  /**
   * Asks the driver for new statistics, and waits for as long as it takes.
   * @throws NoStatisticsError when there is no driver that has any, or it went meanwhile (rejects)
   */
  requestStatistics(): Promise<BalloonStatistics> {
    return this.#active?.requestStatistics() ?? Promise.reject(new NoStatisticsError('the balloon has no driver yet'));
  }

  /** @throws QueueError when the driver did not set up a queue that it needs; RangeError when a restored state is none */
  activate(context: ActivationContext): ActiveDevice {
    if (context.restored !== undefined) this.#restore(context.restored);
    const active = new ActiveBalloon(context, {
      backend: this.#options.backend,
      timers: this.#options.timers,
      statisticsIntervalMs: this.#options.statisticsIntervalMs,
      onError: this.#options.onError ?? (() => {}),
      space: this.#space,
      counts: this.#counts,
      statisticsArrived: (statistics) => {
        this.#statistics = statistics;
      },
      onDispose: () => {
        if (this.#active === active) this.#active = undefined;
        // A new driver begins with an empty balloon.
        this.#space.actualPages = 0;
        this.#space.poisonValue = 0;
      },
    });
    this.#active = active;
    return active;
  }

  writeConfiguration(offset: number, bytes: Uint8Array): void {
    this.#space.write(offset, bytes);
  }

  metrics(): Readonly<Record<string, number>> {
    return { ...this.#counts };
  }

  #restore(state: DeviceState): void {
    this.#space.targetPages = restoredU32(state, 'targetPages');
    this.#space.actualPages = restoredU32(state, 'actualPages');
    this.#space.poisonValue = restoredU32(state, 'poisonValue');
  }
}

type QueueName = 'inflate' | 'deflate' | 'statistics' | 'reporting';

/**
 * The queues in the order of their indexes. The specification numbers them whether they are there or not (virtio 1.3, 5.5.2);
 * drivers leave no gaps for those that were not negotiated, and so do the other VMMs.
 */
export function balloonQueues(features: bigint): readonly QueueName[] {
  return [
    'inflate',
    'deflate',
    ...(hasFeature(features, VIRTIO_BALLOON_F_STATS_VQ) ? (['statistics'] as const) : []),
    ...(hasFeature(features, VIRTIO_BALLOON_F_REPORTING) ? (['reporting'] as const) : []),
  ];
}

/** What an activation needs of its device. */
interface Owner {
  readonly backend: BalloonBackend;
  readonly timers: Timers;
  readonly statisticsIntervalMs: number | undefined;
  readonly space: BalloonConfigSpace;
  readonly counts: BalloonCounts;
  onError(error: unknown): void;
  statisticsArrived(statistics: BalloonStatistics): void;
  onDispose(): void;
}

interface Waiter {
  resolve(statistics: BalloonStatistics): void;
  reject(error: Error): void;
}

class ActiveBalloon implements ActiveDevice {
  readonly #context: ActivationContext;
  readonly #owner: Owner;
  readonly #works: readonly QueueWork[];
  readonly #statisticsWork: QueueWork | undefined;
  /** The statistics buffer: ours until new ones are wanted (virtio 1.3, 5.5.6.3). */
  #heldStatistics: Chain | undefined;
  #waiters: Waiter[] = [];
  #statisticsTimer: Disposable | undefined;
  #rangesThisTurn = 0;
  #isDeferred = false;

  constructor(context: ActivationContext, owner: Owner) {
    this.#context = context;
    this.#owner = owner;
    const names = balloonQueues(context.features);
    this.#works = names.map((name, queueIndex) => this.#workOf(name, queueIndex));
    this.#statisticsWork = this.#works[names.indexOf('statistics')];
    this.#lookRegularly();
  }

  queueNotified(queueIndex: number): void {
    const work = this.#works[queueIndex];
    if (work !== undefined) drain(this.#context, work);
  }

  configurationChanged(): void {
    this.#context.interrupt.configurationChange();
  }

  requestStatistics(): Promise<BalloonStatistics> {
    if (this.#statisticsWork === undefined) {
      return Promise.reject(new NoStatisticsError("the guest's balloon driver has no statistics"));
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#context.guard(() => this.#askForStatistics());
    });
  }

  saveState(): DeviceState {
    const { targetPages, actualPages, poisonValue } = this.#owner.space;
    return { targetPages, actualPages, poisonValue };
  }

  [Symbol.dispose](): void {
    this.#statisticsTimer?.[Symbol.dispose]();
    for (const { reject } of this.#waiters.splice(0)) {
      reject(new NoStatisticsError("the guest's balloon driver stopped before it answered"));
    }
    this.#owner.onDispose();
  }

  #workOf(name: QueueName, queueIndex: number): QueueWork {
    const queue = requireQueue(this.#context, queueIndex);
    const { counts } = this.#owner;
    const base = { queueIndex, queue, canTake: () => this.#hasBudget() };
    switch (name) {
      case 'inflate':
        return {
          ...base,
          handle: (chain) => {
            const bytes = pageNumbers(chain);
            counts.inflated_pages += bytes.length / PAGE_NUMBER_SIZE;
            for (const range of pageRanges(bytes)) this.#discardListed(range);
            queue.putUsed(chain, 0);
          },
        };
      case 'deflate':
        return {
          ...base,
          handle: (chain) => {
            counts.deflated_pages += pageNumbers(chain).length / PAGE_NUMBER_SIZE;
            queue.putUsed(chain, 0);
          },
        };
      case 'reporting':
        return {
          ...base,
          handle: (chain) => {
            this.#takeReport(chain);
            queue.putUsed(chain, 0);
          },
        };
      case 'statistics':
        return {
          ...base,
          handle: (chain) => {
            // There is one buffer; a driver that has more gets the others back.
            if (this.#heldStatistics !== undefined) queue.putUsed(this.#heldStatistics, 0);
            this.#heldStatistics = chain;
            this.#takeStatistics(chain);
          },
        };
    }
  }

  /** What a driver listed, as far as it is RAM. */
  #discardListed(range: PageRange): void {
    this.#rangesThisTurn += 1;
    if (this.#context.memory.contains(range.address, range.length)) {
      this.#discard(range);
      return;
    }
    // Neighbours at the edge of RAM, or in two pieces of it.
    for (let done = 0; done < range.length; done += BALLOON_PAGE_SIZE) {
      const page = { address: range.address + done, length: BALLOON_PAGE_SIZE };
      if (this.#context.memory.contains(page.address, page.length)) this.#discard(page);
      else this.#owner.counts.refused_pages += 1;
    }
  }

  /** Pages that are free; they come as buffers, so they are RAM. */
  #takeReport({ writable }: Chain): void {
    const { counts, space } = this.#owner;
    counts.reported_bytes += writable.length;
    // A page may come back as it was or filled with `poison_val` (virtio 1.3, 5.5.6.7), and comes back as zeros.
    if (hasFeature(this.#context.features, VIRTIO_BALLOON_F_PAGE_POISON) && space.poisonValue !== 0) return;
    for (const segment of writable.segments) {
      const address = this.#context.memory.addressOf(segment);
      const pages = wholePages({ address, length: segment.length });
      this.#rangesThisTurn += 1;
      if (pages !== undefined) this.#discard(pages);
    }
  }

  #discard({ address, length }: PageRange): void {
    const { backend, counts, onError } = this.#owner;
    try {
      backend.discard(address, length);
      counts.discarded_bytes += length;
    } catch (error) {
      counts.failed_discards += 1;
      onError(error);
    }
  }

  #hasBudget(): boolean {
    if (this.#rangesThisTurn < MAX_RANGES_PER_TURN) return true;
    if (!this.#isDeferred) {
      this.#isDeferred = true;
      this.#context.defer(() => {
        this.#isDeferred = false;
        this.#rangesThisTurn = 0;
        for (const work of this.#works) drain(this.#context, work);
      });
    }
    return false;
  }

  #takeStatistics({ readable }: Chain): void {
    const statistics = decodeStatistics(readable.copy(0, Math.min(readable.length, MAX_STATISTICS_SIZE)));
    this.#owner.statisticsArrived(statistics);
    for (const { resolve } of this.#waiters.splice(0)) resolve(statistics);
  }

  #lookRegularly(): void {
    const { statisticsIntervalMs, timers } = this.#owner;
    if (statisticsIntervalMs === undefined || this.#statisticsWork === undefined) return;
    this.#statisticsTimer = timers.after(statisticsIntervalMs, () =>
      this.#context.guard(() => {
        this.#askForStatistics();
        this.#lookRegularly();
      }),
    );
  }

  /** Gives the buffer back, if it is ours: the driver fills it anew. */
  #askForStatistics(): void {
    if (this.#heldStatistics === undefined || this.#statisticsWork === undefined) return;
    const { queue, queueIndex } = this.#statisticsWork;
    queue.putUsed(this.#heldStatistics, 0);
    this.#heldStatistics = undefined;
    interruptIfWanted(this.#context, queueIndex, queue);
  }
}

/** A copy of the page numbers of a buffer. @throws QueueError BUFFER_LAYOUT when it holds none, a part of one, or too many */
function pageNumbers({ readable }: Chain): Uint8Array {
  const { length } = readable;
  if (length === 0 || length % PAGE_NUMBER_SIZE !== 0 || length > MAX_PAGES_PER_BUFFER * PAGE_NUMBER_SIZE) {
    throw new QueueError(
      'BUFFER_LAYOUT',
      `a buffer of ${length} bytes is no list of up to ${MAX_PAGES_PER_BUFFER} pages`,
    );
  }
  return readable.copy(0, length);
}

/** @throws RangeError when there is none */
function restoredU32(state: DeviceState, name: string): number {
  const value = state[name];
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= U32_MAX) return value;
  throw new RangeError(`the state of a balloon has no ${name}`);
}
