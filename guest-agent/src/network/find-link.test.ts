import { expect, test } from 'vitest';
import * as abi from '../../../src/netlink/abi.gen.ts';
import type { Link } from '../../../src/netlink/link.ts';
import { findLink } from './find-link.ts';

const MAC = '02:00:5e:00:53:01';
const link = (name: string, more: Partial<Link> = {}): Link => ({
  index: 1,
  name,
  macAddress: MAC,
  permanentMacAddress: '',
  mtu: 1500,
  flags: 0,
  hardwareType: abi.ARPHRD_ETHER,
  ...more,
});

test('the loopback interface is known by its flag, whatever its name', () => {
  const links = [link('eth0', { macAddress: '' }), link('local', { flags: abi.IFF_LOOPBACK })];
  expect(findLink(links, { macAddress: '' })?.name).toBe('local');
});

test('of several with one MAC address, the one counts whose device has it', () => {
  const links = [link('eth0.5'), link('eth0', { permanentMacAddress: MAC }), link('other', { macAddress: '' })];
  expect(findLink(links, { macAddress: MAC })?.name).toBe('eth0');
});

test('a device whose MAC address was changed is found by the new one, and by the one that it came with', () => {
  const links = [link('eth0', { permanentMacAddress: '02:00:5e:00:53:99' })];
  expect(findLink(links, { macAddress: MAC })?.name).toBe('eth0');
  expect(findLink(links, { macAddress: '02:00:5e:00:53:99' })?.name).toBe('eth0');
});

test('where the device of a MAC address cannot be told, all are named', () => {
  expect(() => findLink([link('a'), link('b')], { macAddress: MAC })).toThrow(
    `several interfaces have the MAC address ${MAC}: a, b`,
  );
});
