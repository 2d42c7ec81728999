// `--balloon`: a virtio memory balloon, by which the guest gives memory back to the host.

import { BalloonDevice } from '../../devices/virtio/balloon/device.ts';
import { guestAddress } from '../../lib/brand.ts';
import { messageOf } from '../../lib/errors.ts';
import { present } from '../../lib/present.ts';
import { MIB } from '../../lib/units.ts';
import { VmConfigError } from '../config-error.ts';
import { optionalFirst, readOptions } from '../options.ts';
import { type DeviceKind, timers } from './kind.ts';

export interface BalloonConfig {
  /** How much the guest is to give up at first, MiB. @default 0 */
  readonly targetMib?: number;
  /** Whether the guest may take memory out of the balloon rather than kill a process. @default false */
  readonly deflateOnOom?: boolean;
  /** Whether the guest gives free memory back as it becomes free. @default false */
  readonly freePageReporting?: boolean;
  /** Time between two looks at the guest's statistics, seconds. @default only when they are asked for */
  readonly statsIntervalSeconds?: number;
}

const MAXIMUM_INTERVAL_SECONDS = 86_400;
const MINIMUM_INTERVAL_SECONDS = 0.1;

const FORM = {
  subject: 'balloon',
  fields: { target: 'size', 'deflate-on-oom': 'flag', 'free-page-reporting': 'flag', stats: 'seconds' },
  first: optionalFirst('target'),
} as const;

export const balloon: DeviceKind<BalloonConfig, BalloonDevice> = {
  read(source) {
    const { target, stats, ...flags } = readOptions(source, FORM);
    const { 'deflate-on-oom': deflateOnOom, 'free-page-reporting': freePageReporting } = flags;
    return {
      ...(target === undefined ? {} : { targetMib: target / MIB }),
      ...present({ deflateOnOom, freePageReporting, statsIntervalSeconds: stats }),
    };
  },
  check({ targetMib = 0, statsIntervalSeconds: interval = 1 }) {
    if (!Number.isSafeInteger(targetMib) || targetMib < 0) {
      throw new VmConfigError('balloon target', `${targetMib} MiB`, 'a whole number of MiB, such as 256M');
    }
    if (!(interval >= MINIMUM_INTERVAL_SECONDS && interval <= MAXIMUM_INTERVAL_SECONDS)) {
      const allowed = `${MINIMUM_INTERVAL_SECONDS} to ${MAXIMUM_INTERVAL_SECONDS} seconds`;
      throw new VmConfigError('balloon stats', `${interval} s`, allowed);
    }
  },
  async open({ targetMib = 0, deflateOnOom, freePageReporting, statsIntervalSeconds }, context) {
    const { memorySize, discard, log } = context;
    if (targetMib > memorySize / MIB) {
      throw new VmConfigError(
        'balloon target',
        `${targetMib} MiB`,
        `at most the guest's memory, ${memorySize / MIB} MiB`,
      );
    }
    return new BalloonDevice({
      backend: { discard: (address, length) => discard(guestAddress(address), length) },
      timers,
      memorySize,
      targetMib,
      ...present({ deflateOnOom, freePageReporting }),
      ...(statsIntervalSeconds === undefined ? {} : { statisticsIntervalMs: statsIntervalSeconds * 1000 }),
      onError: (error) => log(`the balloon's memory stays with the guest: ${messageOf(error)}`),
    });
  },
};
