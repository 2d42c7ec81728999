// The device status field (virtio 1.3, 2.1): which steps a driver may take, and what each makes the device do.
import {
  VIRTIO_CONFIG_S_ACKNOWLEDGE,
  VIRTIO_CONFIG_S_DRIVER,
  VIRTIO_CONFIG_S_DRIVER_OK,
  VIRTIO_CONFIG_S_FAILED,
  VIRTIO_CONFIG_S_FEATURES_OK,
  VIRTIO_CONFIG_S_NEEDS_RESET,
} from './abi.gen.ts';

/** The field after each step of initialisation (virtio 1.3, 3.1.1), by the name of the step. */
export const STATUS = {
  reset: 0,
  acknowledged: VIRTIO_CONFIG_S_ACKNOWLEDGE,
  driverFound: VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER,
  featuresAgreed: VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK,
  running:
    VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK,
} as const;

export interface StatusTransition {
  readonly from: number;
  readonly to: number;
  /** What the device does before it shows the new value: it may refuse, and then does not show it. */
  readonly action: 'none' | 'agree-on-features' | 'activate';
}

/** Every step forward there is. A driver that tries another one is ignored; a write of zero resets from anywhere. */
export const STATUS_TRANSITIONS: readonly StatusTransition[] = [
  { from: STATUS.reset, to: STATUS.acknowledged, action: 'none' },
  { from: STATUS.acknowledged, to: STATUS.driverFound, action: 'none' },
  // The field indicates "the completed steps" (virtio 1.3, 2.1.1), not one at a time: OpenBIOS, for one, completes these
  // two and then says so. The later steps are for the device to judge, so each takes a write of its own.
  { from: STATUS.reset, to: STATUS.driverFound, action: 'none' },
  { from: STATUS.driverFound, to: STATUS.featuresAgreed, action: 'agree-on-features' },
  { from: STATUS.featuresAgreed, to: STATUS.running, action: 'activate' },
];

/** The step from one value of the field to another; undefined when there is none. */
export function findTransition(from: number, to: number): StatusTransition | undefined {
  return STATUS_TRANSITIONS.find((transition) => transition.from === from && transition.to === to);
}

/**
 * Whether a device can show this value.
 * @param isFailed whether the device gave up: then it needs a reset, and else only if its driver has given up after it did
 */
export function isKnownStatus(status: number, isFailed: boolean): boolean {
  const step = status & ~(VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED);
  if (!Object.values<number>(STATUS).includes(step)) return false;
  const needsReset = (status & VIRTIO_CONFIG_S_NEEDS_RESET) !== 0;
  const hasDriverFailed = (status & VIRTIO_CONFIG_S_FAILED) !== 0;
  return isFailed ? needsReset && !hasDriverFailed : !needsReset || hasDriverFailed;
}
