import { describe, expect, test } from 'vitest';
import { MIB } from '../../lib/units.ts';
import { VmConfigError } from '../config-error.ts';
import { balloon } from './balloon.ts';
import type { BackendContext } from './kind.ts';

const contextOf = (memoryMib: number) => ({ memorySize: memoryMib * MIB }) as unknown as BackendContext;

describe('a balloon', () => {
  test.each([
    ['', {}],
    ['64M', { targetMib: 64 }],
    [
      'target=1G,deflate-on-oom=on,free-page-reporting,stats=1s',
      { targetMib: 1024, deflateOnOom: true, freePageReporting: true, statsIntervalSeconds: 1 },
    ],
    [
      { target: '2M', stats: 0.5 },
      { targetMib: 2, statsIntervalSeconds: 0.5 },
    ],
  ])('of %j is %j', (source, expected) => {
    const config = balloon.read(source);

    expect(config).toEqual(expected);
    expect(() => balloon.check(config)).not.toThrow();
  });

  test.each([
    ['target=1000', /balloon target is .* a whole number of MiB/],
    ['stats=0.01', /balloon stats is 0.01 s/],
    ['stats=1000000', /balloon stats is 1000000 s/],
    ['size=2M', /balloon option is "size"/],
  ])('of %j cannot be', (source, message) => {
    const make = () => balloon.check(balloon.read(source));

    expect(make).toThrow(VmConfigError);
    expect(make).toThrow(message);
  });

  test('is no larger than the guest', async () => {
    const device = await balloon.open({ targetMib: 128 }, contextOf(128));

    expect(device.targetMib).toBe(128);
    await expect(balloon.open({ targetMib: 129 }, contextOf(128))).rejects.toThrow("the guest's memory, 128 MiB");
  });
});
