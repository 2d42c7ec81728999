import { describe, expect, test } from 'vitest';
import { disk } from './disk.ts';
import { makeRateLimiter } from './rate-limit.ts';

describe('a rate limit', () => {
  test('is what a disk may do in a second, with a burst at the start', () => {
    expect(disk.read('/a.raw,rate=100M,burst=1G,ops=1000,ops-burst=5')).toEqual({
      path: '/a.raw',
      limit: { bytesPerSecond: 100 << 20, burstBytes: 1 << 30, operationsPerSecond: 1000, burstOperations: 5 },
    });
  });

  test.each([
    ['/a.raw,rate=0', 'disk rate is 0; allowed is a whole number above 0'],
    ['/a.raw,burst=1M', 'disk burst is 1048576; allowed is nothing without disk rate'],
    ['/a.raw,ops-burst=1', 'nothing without disk ops'],
    ['/a.qcow2,format=qcow2,ops=5', 'none but with a raw image'],
    ['vhost-user=/s,rate=1M', 'none but with a raw image'],
  ])('%s is refused: %s', (text, message) => {
    expect(() => disk.check(disk.read(text))).toThrow(message);
  });

  test('of nothing is none', () => {
    expect(makeRateLimiter(undefined)).toBeUndefined();
    expect(makeRateLimiter({})).toBeUndefined();
  });

  test('gives at once what a tenth of a second and the burst have', () => {
    const limiter = makeRateLimiter({ bytesPerSecond: 1000, burstBytes: 500 });
    limiter?.charge(599);
    expect(limiter?.admits()).toBe(true);
    limiter?.charge(100_000);
    expect(limiter?.admits()).toBe(false);
  });
});
