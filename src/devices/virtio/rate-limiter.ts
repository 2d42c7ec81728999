// Token buckets that bound what a guest takes of a back end. The form is Firecracker's: a bucket of `size` tokens that
// refills evenly in `refillTimeMs`, and a burst on top that is there once. An operation may begin when there is a token left,
// and is charged for all of what it takes, so a large one is never stuck: what follows waits until the debt is paid.
import { TIMER_MAX_MS } from '../../lib/units.ts';
import type { JsonValue } from './device.ts';
import type { Timers } from './timers.ts';

/** Timers, and the time that they go by. */
export interface Clock extends Timers {
  /** Milliseconds of a clock that only goes forward, with a fraction. */
  nowMs(): number;
}

export interface BucketOptions {
  /** Tokens that a full bucket has. Above 0. */
  readonly size: number;
  /** How long an empty bucket takes to fill, milliseconds. Above 0. */
  readonly refillTimeMs: number;
  /** Tokens that are there at the start, on top, and do not come again. @default 0 */
  readonly oneTimeBurst?: number;
}

/** What a bucket holds at a moment. */
export interface BucketState {
  /** Below 0: a debt. */
  readonly tokens: number;
  readonly burst: number;
}

export class TokenBucket {
  readonly #size: number;
  readonly #tokensPerMs: number;
  #tokens: number;
  #burst: number;
  #refilledMs: number;

  /** @throws RangeError when the bucket can hold nothing or never fills */
  constructor({ size, refillTimeMs, oneTimeBurst = 0 }: BucketOptions, nowMs: number) {
    if (!(size > 0 && refillTimeMs > 0 && oneTimeBurst >= 0)) {
      throw new RangeError(`a bucket of ${size} tokens in ${refillTimeMs} ms with a burst of ${oneTimeBurst}`);
    }
    this.#size = size;
    this.#tokensPerMs = size / refillTimeMs;
    this.#tokens = size;
    this.#burst = oneTimeBurst;
    this.#refilledMs = nowMs;
  }

  /** How long until there is a token, milliseconds; 0 when there is one. */
  waitMs(nowMs: number): number {
    this.#refill(nowMs);
    if (this.#tokens > 0 || this.#burst > 0) return 0;
    return Math.max(1, Math.ceil(-this.#tokens / this.#tokensPerMs));
  }

  /** Takes tokens, those of the burst first. */
  take(count: number, nowMs: number): void {
    this.#refill(nowMs);
    const fromBurst = Math.min(this.#burst, count);
    this.#burst -= fromBurst;
    this.#tokens -= count - fromBurst;
  }

  #refill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#refilledMs);
    this.#tokens = Math.min(this.#size, this.#tokens + elapsedMs * this.#tokensPerMs);
    this.#refilledMs += elapsedMs;
  }

  get state(): BucketState {
    return { tokens: this.#tokens, burst: this.#burst };
  }

  set state({ tokens, burst }: BucketState) {
    this.#tokens = Math.min(this.#size, tokens);
    this.#burst = burst;
  }
}

export interface RateLimits {
  readonly bytes?: BucketOptions;
  readonly operations?: BucketOptions;
}

/** What a limiter holds, for a snapshot. */
export type RateLimiterState = { readonly [Name in keyof RateLimits]?: readonly [tokens: number, burst: number] };

/** Takes what a snapshot says of a limiter, as far as it makes sense: of the rest the buckets are full. */
export function readLimiterState(saved: JsonValue | undefined): RateLimiterState {
  const table = typeof saved === 'object' && saved !== null && !Array.isArray(saved) ? saved : {};
  const entries = Object.entries(table).flatMap(([name, value]) => {
    const pair = name === 'bytes' || name === 'operations' ? readBucketState(value) : undefined;
    return pair === undefined ? [] : [[name, pair] as const];
  });
  return Object.fromEntries(entries);
}

function readBucketState(saved: JsonValue | undefined): readonly [number, number] | undefined {
  const [tokens, burst]: readonly JsonValue[] = Array.isArray(saved) ? saved : [];
  const isState = Number.isFinite(tokens) && Number.isFinite(burst) && Number(burst) >= 0;
  return isState ? [Number(tokens), Number(burst)] : undefined;
}

/** The buckets of one device or direction. They are the device's, not the driver's: a reset refills nothing. */
export class RateLimiter {
  readonly #clock: Clock;
  readonly #bytes: TokenBucket | undefined;
  readonly #operations: TokenBucket | undefined;
  #throttled = 0;

  /** @throws RangeError when a bucket can hold nothing or never fills */
  constructor({ bytes, operations }: RateLimits, clock: Clock) {
    this.#clock = clock;
    this.#bytes = bytes && new TokenBucket(bytes, clock.nowMs());
    this.#operations = operations && new TokenBucket(operations, clock.nowMs());
  }

  /** How often somebody had to wait. */
  get throttled(): number {
    return this.#throttled;
  }

  /** Whether an operation may begin now. */
  admits(): boolean {
    return this.#waitMs() === 0;
  }

  /** Charges one operation that was admitted. */
  charge(byteCount: number): void {
    const nowMs = this.#clock.nowMs();
    this.#bytes?.take(byteCount, nowMs);
    this.#operations?.take(1, nowMs);
  }

  /** Calls back once when an operation may begin again, or after TIMER_MAX_MS, unless disposed before. */
  whenAdmitted(callback: () => void): Disposable {
    this.#throttled += 1;
    return this.#clock.after(Math.min(this.#waitMs(), TIMER_MAX_MS), callback);
  }

  get state(): RateLimiterState {
    const pair = ({ tokens, burst }: BucketState) => [tokens, burst] as const;
    return {
      ...(this.#bytes === undefined ? {} : { bytes: pair(this.#bytes.state) }),
      ...(this.#operations === undefined ? {} : { operations: pair(this.#operations.state) }),
    };
  }

  /** What there is no bucket for is ignored. */
  set state(state: RateLimiterState) {
    const { bytes, operations } = state;
    if (bytes !== undefined && this.#bytes !== undefined) this.#bytes.state = { tokens: bytes[0], burst: bytes[1] };
    if (operations !== undefined && this.#operations !== undefined) {
      this.#operations.state = { tokens: operations[0], burst: operations[1] };
    }
  }

  #waitMs(): number {
    const nowMs = this.#clock.nowMs();
    return Math.max(this.#bytes?.waitMs(nowMs) ?? 0, this.#operations?.waitMs(nowMs) ?? 0);
  }
}
