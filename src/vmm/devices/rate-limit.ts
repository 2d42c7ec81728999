// Rate limits as a user says them, for every device that has some: so much a second, and what may come at once at the start.

import { type BucketOptions, type Clock, RateLimiter } from '../../devices/virtio/rate-limiter.ts';
import { present } from '../../lib/present.ts';
import { VmConfigError } from '../config-error.ts';
import { timers } from './kind.ts';

export interface RateLimitConfig {
  /** @default no limit */
  readonly bytesPerSecond?: number;
  /** Bytes that are there once, on top, at the start. @default 0 */
  readonly burstBytes?: number;
  /** Requests of a disk, frames of a network. @default no limit */
  readonly operationsPerSecond?: number;
  /** Operations that are there once, on top, at the start. @default 0 */
  readonly burstOperations?: number;
}

/** What a limit may save up while nothing is done: a tenth of what a second gives, so that the rate holds for short times. */
const BUCKET_MS = 100;

const clock: Clock = { ...timers, nowMs: () => performance.now() };

/** The values of the options `rate`, `burst`, `ops` and `ops-burst`. @returns undefined when there are none */
export function readRateLimit(options: {
  readonly rate: number | undefined;
  readonly burst: number | undefined;
  readonly ops: number | undefined;
  readonly opsBurst: number | undefined;
}): RateLimitConfig | undefined {
  const { rate, burst, ops, opsBurst } = options;
  if (rate === undefined && burst === undefined && ops === undefined && opsBurst === undefined) return undefined;
  return {
    ...present({ bytesPerSecond: rate, burstBytes: burst, operationsPerSecond: ops, burstOperations: opsBurst }),
  };
}

/** @param subject "disk", "net rx" @throws VmConfigError */
export function checkRateLimit(subject: string, limit: RateLimitConfig | undefined): void {
  if (limit === undefined) return;
  const { bytesPerSecond, burstBytes, operationsPerSecond, burstOperations } = limit;
  checkBucket(`${subject} rate`, bytesPerSecond, `${subject} burst`, burstBytes);
  checkBucket(`${subject} ops`, operationsPerSecond, `${subject} ops-burst`, burstOperations);
}

function checkBucket(rateKey: string, rate: number | undefined, burstKey: string, burst: number | undefined): void {
  if (rate !== undefined && !(Number.isSafeInteger(rate) && rate > 0)) {
    throw new VmConfigError(rateKey, String(rate), 'a whole number above 0, per second');
  }
  if (burst === undefined) return;
  if (rate === undefined) throw new VmConfigError(burstKey, String(burst), `nothing without ${rateKey}`);
  if (!(Number.isSafeInteger(burst) && burst >= 0)) {
    throw new VmConfigError(burstKey, String(burst), 'a whole number from 0 on');
  }
}

/** @returns undefined when nothing is limited */
export function makeRateLimiter(limit: RateLimitConfig | undefined): RateLimiter | undefined {
  if (limit === undefined) return undefined;
  const { bytesPerSecond, burstBytes, operationsPerSecond, burstOperations } = limit;
  if (bytesPerSecond === undefined && operationsPerSecond === undefined) return undefined;
  return new RateLimiter(
    {
      ...(bytesPerSecond === undefined ? {} : { bytes: bucket(bytesPerSecond, burstBytes) }),
      ...(operationsPerSecond === undefined ? {} : { operations: bucket(operationsPerSecond, burstOperations) }),
    },
    clock,
  );
}

function bucket(perSecond: number, oneTimeBurst = 0): BucketOptions {
  return { size: (perSecond * BUCKET_MS) / 1000, refillTimeMs: BUCKET_MS, oneTimeBurst };
}
