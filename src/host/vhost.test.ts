import { expect, test } from 'vitest';
import { VhostNet } from './vhost-net.ts';
import { VhostVsock } from './vhost-vsock.ts';

test('a kernel without the device is an error that says which module makes it', () => {
  const path = '/nowhere/vhost';
  expect(() => new VhostVsock({ guestCid: 3, memory: [], path })).toThrow(/\/nowhere\/vhost.*modprobe vhost_vsock/);
  const tap = { fd: 0 as never, offloads: {} as never, setOffloads: () => {} };
  expect(() => new VhostNet({ tap, memory: [], path })).toThrow(/\/nowhere\/vhost.*modprobe vhost_net/);
});
