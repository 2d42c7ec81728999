import { describe, expect, test } from 'vitest';
import { VmConfigError } from '../config-error.ts';
import { net } from './net.ts';

describe('--net', () => {
  test.each([
    ['tap=vm0', { end: { kind: 'tap', name: 'vm0' } }],
    ['fd=5', { end: { kind: 'fd', fd: 5 } }],
    ['none', { end: { kind: 'none' } }],
    ['passt', { end: { kind: 'passt' } }],
    ['passt,tcp=8080:80,,2222:22,udp=53', { end: { kind: 'passt', tcp: '8080:80,2222:22', udp: '53' } }],
    ['tap=vm0,vhost=on', { end: { kind: 'tap', name: 'vm0' }, vhost: true }],
    ['tap=vm0,mac=02:00:00:00:00:01,mtu=9000', { mac: '02:00:00:00:00:01', mtu: 9000 }],
    [
      'tap=vm0,rx-rate=10M,rx-burst=1M,tx-ops=1000,tx-ops-burst=5',
      {
        receiveLimit: { bytesPerSecond: 10 << 20, burstBytes: 1 << 20 },
        transmitLimit: { operationsPerSecond: 1000, burstOperations: 5 },
      },
    ],
  ])('%s is read', (text, expected) => {
    expect(net.read(text)).toMatchObject(expected);
  });

  test.each(['', 'mac=02:00:00:00:00:01', 'tap=a,none', 'tap=a,fd=3', 'none=off', 'vm0', 'tap=a,tcp=80'])(
    '"%s" is refused',
    (text) => {
      expect(() => net.read(text)).toThrow(VmConfigError);
    },
  );

  test.each([
    ['none,mac=01:00:00:00:00:01', 'net mac is "01:00:00:00:00:01"'],
    ['none,mac=02-00-00-00-00-01', 'net mac'],
    ['none,mtu=60', 'net mtu is 60; allowed is a whole number from 68 to 65535'],
    ['none,rx-rate=0', 'net rx rate is 0'],
    ['none,tx-burst=1M', 'net tx burst is 1048576; allowed is nothing without net tx rate'],
    ['none,tx-ops-burst=1', 'nothing without net tx ops'],
    ['none,vhost', 'vhost-net needs a tap'],
    ['passt,vhost', 'vhost-net needs a tap'],
    ['passt,tcp=0', 'net tcp is "0"; allowed is ports'],
    ['passt,udp=all', 'net udp is "all"'],
    ['tap=a,vhost,tx-rate=1M', 'off with rate limits'],
  ])('%s is refused: %s', (text, message) => {
    expect(() => net.check(net.read(text))).toThrow(message);
  });

  test('a device without an end has an address of its own, and no link', async () => {
    await using resources = new AsyncDisposableStack();
    const nothing = (): undefined => undefined;
    const memory = { memory: [], mappedMemory: [], memorySize: 0, discard: nothing };
    const context = { ...memory, resources, consoleOutput: nothing, log: nothing, onEnd: nothing };
    const open = () => net.open({ end: { kind: 'none' } }, context);
    const [first, second] = [await open(), await open()].map((device) => device.configurationSpace);
    expect((first?.[0] ?? 0) & 3).toBe(2);
    expect(first?.subarray(0, 6)).not.toEqual(second?.subarray(0, 6));
    expect(first?.[6]).toBe(0);
  });
});
