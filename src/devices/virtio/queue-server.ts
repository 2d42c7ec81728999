// Somebody outside this process who serves a device's queues: a program over vhost-user, or the kernel's vhost.
import type { ActivationContext, ActiveDevice } from './device.ts';

/** The queues of a driver at work. Disposing it stops them: nothing more is taken from them. */
export type ServedQueues = ActiveDevice & Required<Pick<ActiveDevice, 'quiesce' | 'resume'>>;

export interface QueueServer {
  /** Feature bits of virtio that it knows; a device offers those of them that it has a use for. */
  readonly features: bigint;
  /**
   * Starts to serve the queues, each from where it stands; when the driver goes on from a snapshot, at `resume` only.
   * @throws when the server is gone or refuses: the device then needs a reset
   */
  start(context: ActivationContext): ServedQueues;
  /** As `VirtioDevice.idle`: what it had taken when its queues were stopped may still be written to guest memory. */
  idle(): Promise<void> | undefined;
}
