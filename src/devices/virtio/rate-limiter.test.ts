import { describe, expect, test } from 'vitest';
import { RateLimiter, type RateLimits, readLimiterState, TokenBucket } from './rate-limiter.ts';
import { FakeClock } from './testing/fake-clock.ts';

function limiter(limits: RateLimits) {
  const clock = new FakeClock();
  return { clock, limits: new RateLimiter(limits, clock) };
}

const BYTES = { bytes: { size: 1000, refillTimeMs: 100 } };

describe('a rate limiter', () => {
  test('admits what its bucket holds, at once', () => {
    const { limits } = limiter(BYTES);
    limits.charge(999);
    expect(limits.admits()).toBe(true);
    limits.charge(1);
    expect(limits.admits()).toBe(false);
  });

  test('lets a large operation begin, and those after it wait until it is paid for', () => {
    const { clock, limits } = limiter(BYTES);
    limits.charge(3000);
    clock.advance(200);
    expect(limits.admits()).toBe(false);
    clock.advance(1);
    expect(limits.admits()).toBe(true);
  });

  test('gives no more than a full bucket after a long rest', () => {
    const { clock, limits } = limiter(BYTES);
    clock.advance(1_000_000);
    limits.charge(1000);
    expect(limits.admits()).toBe(false);
  });

  test('spends the burst first, and once', () => {
    const { clock, limits } = limiter({ bytes: { ...BYTES.bytes, oneTimeBurst: 5000 } });
    limits.charge(5999);
    expect(limits.admits()).toBe(true);
    limits.charge(1);
    expect(limits.admits()).toBe(false);
    clock.advance(1_000_000);
    limits.charge(1000);
    expect(limits.admits()).toBe(false);
  });

  test('counts operations beside bytes', () => {
    const { limits } = limiter({ ...BYTES, operations: { size: 2, refillTimeMs: 1000 } });
    limits.charge(1);
    expect(limits.admits()).toBe(true);
    limits.charge(1);
    expect(limits.admits()).toBe(false);
  });

  test('calls back when both buckets have a token, and counts who waited', () => {
    const { clock, limits } = limiter({ ...BYTES, operations: { size: 1, refillTimeMs: 50 } });
    const times: number[] = [];
    limits.charge(1500);
    limits.whenAdmitted(() => times.push(clock.nowMs()));
    for (let ms = 0; ms < 100; ms++) clock.advance(1);
    expect(times).toEqual([50]);
    expect(limits.throttled).toBe(1);
  });

  test('waits no longer than a timer can, even for a debt of years', () => {
    const delays: number[] = [];
    const after = (delayMs: number) => {
      delays.push(delayMs);
      return { [Symbol.dispose]: () => {} };
    };
    const limits = new RateLimiter({ bytes: { size: 0.1, refillTimeMs: 100 } }, { nowMs: () => 0, after });
    limits.charge(2 ** 32);
    limits.whenAdmitted(() => {});
    expect(delays).toEqual([2 ** 31 - 1]);
  });

  test('calls nobody back who has gone', () => {
    const { clock, limits } = limiter(BYTES);
    limits.charge(2000);
    let calls = 0;
    limits.whenAdmitted(() => calls++)[Symbol.dispose]();
    clock.advance(1000);
    expect(calls).toBe(0);
  });

  test('goes on with the debt of a snapshot', () => {
    const former = limiter(BYTES);
    former.limits.charge(1500);
    const { clock, limits } = limiter(BYTES);
    limits.state = readLimiterState(JSON.parse(JSON.stringify(former.limits.state)));
    expect(limits.admits()).toBe(false);
    clock.advance(51);
    expect(limits.admits()).toBe(true);
  });

  test.each([undefined, null, 5, [], { bytes: 5 }, { bytes: [1, 'x'] }, { bytes: [0, -1] }, { other: [0, 0] }])(
    'takes no tokens away for the saved state %j',
    (saved) => {
      const { limits } = limiter(BYTES);
      limits.state = readLimiterState(saved);
      expect(limits.state).toEqual({ bytes: [1000, 0] });
    },
  );

  test('keeps the rate over a long time, whatever the sizes are', () => {
    const { clock, limits } = limiter(BYTES);
    let bytes = 0;
    for (let ms = 0; ms < 10_000; ms++) {
      for (let size = 1 + ((ms * 7919) % 400); limits.admits(); size = 1 + ((size * 31) % 400)) {
        limits.charge(size);
        bytes += size;
      }
      clock.advance(1);
    }
    expect(bytes).toBeGreaterThanOrEqual(100_000);
    expect(bytes).toBeLessThan(100_000 + 1000 + 400);
  });

  test('a clock that stands back gives nothing', () => {
    const bucket = new TokenBucket(BYTES.bytes, 1000);
    bucket.take(1000, 1000);
    expect(bucket.waitMs(0)).toBeGreaterThan(0);
    expect(bucket.waitMs(999)).toBeGreaterThan(0);
    expect(bucket.waitMs(1001)).toBe(0);
  });

  test.each([
    { size: 0, refillTimeMs: 1 },
    { size: 1, refillTimeMs: 0 },
    { size: Number.NaN, refillTimeMs: 1 },
    { size: 1, refillTimeMs: 1, oneTimeBurst: -1 },
  ])('a bucket of $size tokens in $refillTimeMs ms is refused', (options) => {
    expect(() => new TokenBucket(options, 0)).toThrow(RangeError);
  });
});
