// The kernel's vhost: a thread of the kernel serves the queues of a device in this process' memory. Any mapping will do,
// private ones included, and guest RAM on both sides of the hole below 4 GiB is one region each.
import { openSync } from 'node:fs';
import type { ActivationContext } from '../devices/virtio/device.ts';
import type { ServedQueues } from '../devices/virtio/queue-server.ts';
import { O_CLOEXEC, O_RDWR } from '../ffi/abi.gen.ts';
import { watchFd } from '../ffi/event-loop.unsafe.ts';
import { EventFd } from '../ffi/eventfd.unsafe.ts';
import { OwnedFd } from '../ffi/fd.unsafe.ts';
import {
  getVhostFeatures,
  getVhostRingBase,
  type MappedMemory,
  setVhostFeatures,
  setVhostMemory,
  setVhostOwner,
  setVhostRing,
  setVhostRingFd,
} from '../ffi/vhost.unsafe.ts';
import type { Fd } from '../lib/brand.ts';
import { messageOf, TskataError } from '../lib/errors.ts';
import { enabledQueues, type ServedQueue } from './rings.ts';

export type { MappedMemory } from '../ffi/vhost.unsafe.ts';

export type VhostErrorCode =
  /** The kernel's device cannot be opened. */
  | 'NO_DEVICE'
  /** Another guest has the address. */
  | 'CID_IN_USE'
  /** The driver made a ring that the kernel finds no sense in. */
  | 'BROKEN_RING';

export class VhostError extends TskataError<VhostErrorCode> {}

/** How one kind of device begins and ends to serve its queues, once their rings are set up. */
export interface VhostSwitch {
  /** @throws SystemError; nothing is served then */
  start(queues: readonly ServedQueue[]): void;
  /** Returns when the kernel works on no chain any more. */
  stop(queues: readonly ServedQueue[]): void;
}

export interface VhostOptions {
  /** "/dev/vhost-net" */
  readonly path: string;
  /** The kernel module that makes it, for messages. */
  readonly module: string;
  /** All of the guest's RAM. */
  readonly memory: readonly MappedMemory[];
}

/** One open vhost device, which serves one device of the guest, as often as the guest starts it. */
export class VhostDevice implements Disposable {
  readonly features: bigint;
  readonly fd: Fd;
  readonly #options: VhostOptions;
  readonly #resources: DisposableStack;
  readonly #errors: EventFd;
  #onError: (() => void) | undefined;

  /** @throws VhostError NO_DEVICE; SystemError */
  constructor(options: VhostOptions) {
    this.#options = options;
    using resources = new DisposableStack();
    this.fd = resources.use(openDevice(options)).fd;
    this.#errors = resources.use(new EventFd());
    const watch = watchFd(
      this.#errors.fd,
      () => {
        this.#errors.drain();
        this.#onError?.();
      },
      { ref: false },
    );
    resources.use(watch);
    setVhostOwner(this.fd);
    this.features = getVhostFeatures(this.fd);
    this.#resources = resources.move();
  }

  /**
   * Serves the first queues of a driver; the others are not the kernel's.
   * @throws SystemError
   */
  serve(context: ActivationContext, count: number, vhostSwitch: VhostSwitch): ServedQueues {
    const queues = enabledQueues(context.queues.slice(0, count));
    setVhostFeatures(this.fd, context.features & this.features);
    setVhostMemory(this.fd, this.#options.memory);
    this.#onError = () => context.fail(this.#brokenRing());
    const start = (): void => {
      for (const queue of queues) this.#setUp(context, queue);
      vhostSwitch.start(queues);
    };
    const stop = (): void => {
      vhostSwitch.stop(queues);
      for (const { index, queue } of queues) queue.continueFrom(getVhostRingBase(this.fd, index));
    };
    // A device that goes on from a snapshot is at rest until `resume`.
    let isAtRest = context.restored !== undefined;
    if (!isAtRest) start();
    return {
      quiesce: async () => {
        if (!isAtRest) stop();
        isAtRest = true;
      },
      resume: () => {
        if (isAtRest) start();
        isAtRest = false;
      },
      [Symbol.dispose]: () => {
        this.#onError = undefined;
        if (!isAtRest) stop();
        isAtRest = true;
      },
    };
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  #setUp(context: ActivationContext, { index, queue }: ServedQueue): void {
    const { kick, call } = context.eventFds(index);
    const ring = {
      descriptorTable: this.#hostAddress(queue.descriptorTable),
      availableRing: this.#hostAddress(queue.availableRing),
      usedRing: this.#hostAddress(queue.usedRing),
    };
    setVhostRing(this.fd, index, queue.size, queue.position.nextAvailable, ring);
    setVhostRingFd(this.fd, index, 'kick', kick);
    setVhostRingFd(this.fd, index, 'call', call);
    setVhostRingFd(this.fd, index, 'error', this.#errors.fd);
  }

  #hostAddress(address: number): bigint {
    const region = this.#options.memory.find(
      ({ guestAddress, size }) => address >= guestAddress && address < guestAddress + size,
    );
    if (region === undefined) throw new RangeError(`guest address 0x${address.toString(16)} is not inside RAM`);
    return region.hostAddress + BigInt(address - region.guestAddress);
  }

  #brokenRing(): VhostError {
    const { path } = this.#options;
    return new VhostError('BROKEN_RING', `${path} found a ring or a buffer of the guest that makes no sense`, { path });
  }
}

function openDevice({ path, module }: VhostOptions): OwnedFd {
  try {
    return new OwnedFd(openSync(path, O_RDWR | O_CLOEXEC));
  } catch (cause) {
    const message = `cannot open ${path}: ${messageOf(cause)}; \`modprobe ${module}\` makes it, and it is root's`;
    throw new VhostError('NO_DEVICE', message, { path }, { cause });
  }
}
