// A guest's balloon driver in a few lines, on the mock driver, and a host that takes pages back.
import { guestAddress } from '../../../lib/brand.ts';
import { MIB } from '../../../lib/units.ts';
import { GuestMemory } from '../../../memory/guest-memory.ts';
import { VIRTIO_MMIO_CONFIG, virtio_balloon_config, virtio_balloon_stat } from '../abi.gen.ts';
import type { BalloonBackend } from '../balloon/backend.ts';
import { BALLOON_PAGE_SIZE } from '../balloon/config-space.ts';
import { BalloonDevice, type BalloonOptions } from '../balloon/device.ts';
import { FakeTimers } from './fake-vsock-host.ts';
import { MockMachine, type MockQueue } from './mock-driver.ts';

/** RAM of the guest, from address 0 on. */
export const MEMORY_SIZE: number = 4 * MIB;

/** Remembers what it was given back, as "page+count". */
export class FakeBalloonHost implements BalloonBackend {
  readonly discarded: string[] = [];
  isBroken = false;

  discard(address: number, length: number): void {
    if (this.isBroken) throw new Error('the host keeps its pages');
    this.discarded.push(`${address / BALLOON_PAGE_SIZE}+${length / BALLOON_PAGE_SIZE}`);
  }
}

export interface BalloonGuestOptions extends Partial<Omit<BalloonOptions, 'backend' | 'timers'>> {
  /** Features that the driver does not take. */
  readonly refuse?: readonly number[];
  /** @default true */
  readonly isStarted?: boolean;
}

export class BalloonGuest {
  readonly host: FakeBalloonHost = new FakeBalloonHost();
  readonly timers: FakeTimers = new FakeTimers();
  readonly errors: unknown[] = [];
  device: BalloonDevice;
  machine: MockMachine;
  readonly #options: Partial<BalloonOptions>;

  constructor({ refuse = [], isStarted = true, ...options }: BalloonGuestOptions = {}) {
    this.#options = options;
    this.device = this.#makeDevice();
    const memory = new GuestMemory([{ guestAddress: guestAddress(0), bytes: new Uint8Array(MEMORY_SIZE) }]);
    this.machine = new MockMachine(this.device, { memory });
    if (isStarted) this.machine.driver.start({ refuse });
  }

  /** Goes on with another device, as after a restore; it is still at rest. */
  async move(): Promise<void> {
    this.device = this.#makeDevice();
    this.machine = await this.machine.moveTo(this.device);
  }

  queue(index: number): MockQueue {
    return this.machine.driver.queue(index);
  }

  /** Puts pages into the inflate or deflate queue and rings the bell. */
  list(queueIndex: number, pages: readonly number[]): void {
    this.queue(queueIndex).push({ read: new Uint8Array(Uint32Array.from(pages).buffer) });
    this.queue(queueIndex).kick();
  }

  /** Offers the statistics buffer with these values. */
  offerStatistics(queueIndex: number, entries: readonly (readonly [tag: number, value: bigint])[]): void {
    this.queue(queueIndex).push({ read: encodeStatistics(entries) });
    this.queue(queueIndex).kick();
  }

  /** Writes a field of the configuration space. */
  writeField(field: 'actual' | 'poison_val', value: number): void {
    const bytes = new Uint8Array(Uint32Array.of(value).buffer);
    this.machine.transport.write(VIRTIO_MMIO_CONFIG + virtio_balloon_config[field], bytes);
  }

  /** Reads a field of the configuration space. */
  readField(field: 'num_pages' | 'actual' | 'poison_val'): number {
    return this.machine.driver.readRegister(VIRTIO_MMIO_CONFIG + virtio_balloon_config[field]);
  }

  #makeDevice(): BalloonDevice {
    return new BalloonDevice({
      backend: this.host,
      timers: this.timers,
      memorySize: MEMORY_SIZE,
      onError: (error) => void this.errors.push(error),
      ...this.#options,
    });
  }
}

/** A statistics buffer. */
export function encodeStatistics(entries: readonly (readonly [tag: number, value: bigint])[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(entries.length * virtio_balloon_stat.sizeof));
  for (const [index, [tag, value]] of entries.entries()) {
    view.setUint16(index * virtio_balloon_stat.sizeof + virtio_balloon_stat.tag, tag, true);
    view.setBigUint64(index * virtio_balloon_stat.sizeof + virtio_balloon_stat.val, value, true);
  }
  return new Uint8Array(view.buffer);
}
