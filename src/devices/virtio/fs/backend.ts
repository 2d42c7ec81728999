// What the file system device needs of the host: somebody who serves FUSE requests from its queues.
import type { ActivationContext, ActiveDevice } from '../device.ts';

export interface FsBackend {
  /** Feature bits of virtio that the back end knows; the device offers those of them that it has a use for. */
  readonly features: bigint;
  /**
   * Starts to serve the queues.
   * @throws when the back end is gone or refuses: the device then needs a reset
   */
  start(context: ActivationContext): ActiveDevice;
}
