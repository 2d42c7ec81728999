// What the hostile suite needs to know of a device. A new one takes part with one line in subjects.ts.
import type { VirtioDevice } from '../../src/devices/virtio/device.ts';
import type { MockDriver } from '../../src/devices/virtio/testing/mock-driver.ts';
import type { Step } from './step.ts';

/** A device with its host's end. */
export interface Tested {
  readonly device: VirtioDevice;
  /** Something happens at the host's end; every number is something. @param size of it, if that means anything */
  act(choice: number, size: number): void;
  /** Lets everything that waits at the host's end go on. */
  release(): void;
  /** What the guest made the host's end hold. */
  received(): Iterable<Uint8Array>;
  /** A bound of the device that was passed, in words. */
  excess?(): string | undefined;
  /**
   * Uses the device as a good driver does, after `driver.start()`.
   * @param settle lets the event loop go round until nothing is left to do
   * @returns whether it works
   */
  use(driver: MockDriver, settle: () => Promise<void>): Promise<boolean>;
}

export interface Subject {
  readonly name: string;
  /** A queue from which the device takes at once whatever is offered. */
  readonly eagerQueue: number;
  /** What makes it look there, when that is not the queue's bell. */
  readonly bell?: Step;
  /** What buffers for this device begin with. */
  readonly openings: readonly Uint8Array[];
  create(): Tested;
}
