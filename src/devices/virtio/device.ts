// What a virtio device model is, to the transport above it and the backends beside it.
import type { Fd } from '../../lib/brand.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { Virtqueue } from './queue.ts';

/** How a device tells the driver something. */
export interface DeviceInterrupt {
  /** There are used buffers in a queue (virtio 1.3, 2.3 "Notifications": used buffer notification). */
  usedBuffer(queueIndex: number): void;
  /** The configuration space changed (configuration change notification). */
  configurationChange(): void;
}

/** What a device gets when its driver has set DRIVER_OK. */
export interface ActivationContext {
  readonly memory: GuestMemory;
  /** The feature bits that both ends accepted. */
  readonly features: bigint;
  /** Queues by index; undefined where the driver did not enable one. */
  readonly queues: readonly (Virtqueue | undefined)[];
  readonly interrupt: DeviceInterrupt;
  /**
   * The eventfds of a queue, for backends outside this process (vhost, vhost-user): the driver's notify signals `kick`
   * without an exit, and signalling `call` interrupts the driver.
   */
  eventFds(queueIndex: number): { readonly kick: Fd; readonly call: Fd };
  /**
   * The configuration space changed in a way of which the driver is not told: it has what is new from its next look on.
   * What it is to be told of is `interrupt.configurationChange`.
   */
  refreshConfiguration(): void;
  /** Puts the device into the state DEVICE_NEEDS_RESET (virtio 1.3, 2.1.2): the ring or the request made no sense. */
  fail(reason: Error): void;
  /**
   * Runs work that did not start with the driver: a completion, data from a host socket, a timer. What it throws fails
   * the device; after a reset it does not run any more.
   */
  guard(work: () => void): void;
  /** Runs work, guarded, once the event loop has served others: how a long job is cut. */
  defer(work: () => void): void;
  /**
   * What `saveState` gave, or nothing in it, when this activation goes on from a snapshot: the driver is at work already, and
   * its queues stand where they stood. Connections to the host's side are new ones. Such an activation begins at rest, and
   * `resume` starts it; it is host input too: a device that cannot go on from it throws.
   */
  readonly restored?: DeviceState;
}

/** What a device knows beside its registers and rings, for a snapshot: plain data that JSON keeps. */
export type DeviceState = Readonly<Record<string, JsonValue>>;
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** A device whose driver is at work. Disposing it ends all its work on the queues: reset, or the end of the VM. */
export interface ActiveDevice extends Disposable {
  /** The driver rang the bell of this queue. Absent for backends that watch the bells themselves (vhost, vhost-user). */
  queueNotified?(queueIndex: number): void;
  /**
   * Brings the device to rest for a snapshot: no bells ring any more; it takes nothing more by itself and puts back what
   * it has taken, but for chains that it keeps (`Virtqueue.position` takes those back to the driver's side). From when this
   * has settled until `resume`, `guard` and `defer` keep work instead of running it. Absent where nothing is in flight
   * between two turns of the event loop.
   * @throws when the device cannot be brought to rest (rejects): it then goes on as before, and the transport rings all bells
   */
  quiesce?(): Promise<void>;
  /** Goes on after `quiesce`, or starts what was restored; the transport then runs what it kept and rings all bells once. */
  resume?(): void;
  /** Asked for while the device is at rest; it comes back as `restored` of an activation, perhaps in another process. */
  saveState?(): DeviceState;
}

/** A device model: identity, features, configuration space, and what happens at DRIVER_OK. */
export interface VirtioDevice {
  /** For logs, metrics and error messages: "vsock", "block:root". */
  readonly name: string;
  /** VIRTIO_ID_* (virtio 1.3, 5 "Device Types"). */
  readonly deviceId: number;
  /** Feature bits offered, those of the transport and the ring (VIRTIO_F_*) included. */
  readonly features: bigint;
  /** Largest size of each queue (QueueNumMax); their number is the number of queues. */
  readonly queueSizes: readonly number[];
  /**
   * Queues whose driver spins until the device has answered: their bells are to be exits, which the device answers before
   * the processor goes on, rather than eventfds, for which it would take the time from those who answer. @default none
   */
  readonly awaitedQueues?: readonly number[];
  /** The device's configuration space as it is now. The transport serves reads from it, widths and bounds included. */
  readonly configurationSpace: Uint8Array;
  /** A driver's write to the configuration space; absent when all of it is read-only. */
  writeConfiguration?(offset: number, bytes: Uint8Array): void;
  /**
   * Called when the driver sets DRIVER_OK.
   * @throws when the backend cannot serve this driver: the transport then sets DEVICE_NEEDS_RESET
   */
  activate(context: ActivationContext): ActiveDevice;
  /**
   * Absent where disposing an activation ends all of its work at once.
   * @returns a promise that settles, and never rejects, once no work of former activations touches guest memory any more;
   * undefined when that is so already
   */
  idle?(): Promise<void> | undefined;
  /** Counts since the device was made, by name in snake_case with the unit at its end: `read_bytes`, `read_requests`. */
  metrics?(): Readonly<Record<string, number>>;
}
