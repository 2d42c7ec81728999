import { describe, expect, test } from 'vitest';
import { broadcastOf, formatIp, formatMac, macBytes, networkOf, parseIp, parseMac, parsePrefix } from './ip.ts';

describe('an address', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8:0:0:0:0:0:7', '2001:db8::7'],
    ['2001:db8::', '2001:db8::'],
    // RFC 5952, 4.2.2 and 4.2.3: one group is not shortened; of equal runs the first is.
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['fe80::0001:0', 'fe80::1:0'],
    ['::ffff:192.0.2.7', '::ffff:c000:207'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['1::3:4:5:6:7:8', '1:0:3:4:5:6:7:8'],
  ])('%s is %s', (text, canonical) => {
    expect(formatIp(parseIp(text) ?? new Uint8Array())).toBe(canonical);
  });

  test.each(
    // biome-ignore format: a list of texts
    ['', '192.0.2', '192.0.2.256', '192.0.2.07', '192.0.2.7.1', ' 192.0.2.7', '1.2.3.4/8', ':', ':::', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9',
      '1::2:3:4:5:6:7:8', '1::2::3', '12345::', 'g::', 'fe80::1%eth0', '::192.0.2', '1.2.3.4::', '::1.2.3.4:5', '0x7f.1', '2001:db8::7 '],
  )('"%s" is none', (text) => {
    expect(parseIp(text)).toBeUndefined();
  });
});

describe('a prefix', () => {
  test.each([
    ['192.0.2.7/24', '192.0.2.0', '192.0.2.255'],
    ['192.0.2.7/30', '192.0.2.4', '192.0.2.7'],
    ['192.0.2.7/31', '192.0.2.6', undefined],
    ['192.0.2.7/32', '192.0.2.7', undefined],
    ['10.1.2.3/0', '0.0.0.0', '255.255.255.255'],
    ['10.255.2.3/9', '10.128.0.0', '10.255.255.255'],
    ['2001:db8::ffff/115', '2001:db8::e000', undefined],
    ['2001:db8::7/128', '2001:db8::7', undefined],
  ])('%s is in the network %s, broadcast %s', (text, network, broadcast) => {
    const prefix = parsePrefix(text) ?? { address: 'none', prefixLength: 0 };
    expect(networkOf(prefix).address).toBe(network);
    expect(broadcastOf(prefix)).toBe(broadcast);
  });

  test.each([
    '192.0.2.7',
    '192.0.2.7/33',
    '::1/129',
    '192.0.2.7/',
    '/24',
    '192.0.2.7/024',
    '192.0.2.7/2/4',
    '192.0.2.7/-1',
  ])('"%s" is none', (text) => {
    expect(parsePrefix(text)).toBeUndefined();
  });
});

test('a MAC address is read in either case and written in lower case', () => {
  expect(parseMac('02:00:5E:00:53:aF')).toBe('02:00:5e:00:53:af');
  expect(formatMac(macBytes('02:00:5e:00:53:af'))).toBe('02:00:5e:00:53:af');
  for (const text of ['', '02:00:5e:00:53', '02-00-5e-00-53-01', '02:00:5e:00:53:01:02', '2:0:5e:0:53:1']) {
    expect(parseMac(text)).toBeUndefined();
  }
});
