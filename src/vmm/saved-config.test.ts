import { expect, test } from 'vitest';
import type { VmConfig } from './config.ts';
import { readSavedConfig } from './saved-config.ts';

const WHOLE: VmConfig = {
  kernelPath: '/boot/vmlinux',
  initrdPath: '/boot/initrd',
  commandLine: 'quiet',
  memoryMib: 128,
  hugePages: '2M',
  prefault: true,
  cpus: 2,
  serial: true,
  disks: [
    { path: '/a', format: 'qcow2', readOnly: true },
    { path: '/b', id: 'b', cache: 'direct', limit: { bytesPerSecond: 5, burstBytes: 1, operationsPerSecond: 2 } },
    { path: '/c', vhostUser: true },
  ],
  nets: [
    { end: { kind: 'tap', name: 'tap0' }, vhost: true, mac: '52:54:00:12:34:56', mtu: 1400 },
    { end: { kind: 'fd', fd: 3 }, receiveLimit: { operationsPerSecond: 1, burstOperations: 2 } },
    { end: { kind: 'passt', tcp: '8080:80' }, transmitLimit: { bytesPerSecond: 1 } },
    { end: { kind: 'none' } },
  ],
  shares: [{ tag: 'data', directory: '/srv', readOnly: true, cache: 'always' }],
  vsock: { guestCid: 3, path: '/run/v.sock', vhost: false },
  console: { path: '/var/log/console' },
  balloon: { targetMib: 1, deflateOnOom: true, freePageReporting: true, statsIntervalSeconds: 1 },
  entropy: false,
};
const LEAST: VmConfig = { kernelPath: '/vmlinux', memoryMib: 64, cpus: 1 };

test.each([
  ['whole', WHOLE],
  ['least', LEAST],
])('a %s configuration is taken as it is', (_what, config) => {
  expect(readSavedConfig(config)).toEqual(config);
});

test.each([
  ['nothing', null, 'config is null; allowed is a table'],
  ['a list', [], 'config is []; allowed is a table'],
  ['no kernel', { ...LEAST, kernelPath: undefined }, 'config.kernelPath is missing; allowed is a text'],
  ['a number too large for JSON', { ...LEAST, memoryMib: 64n }, 'config.memoryMib is 64; allowed is a number'],
  ['other huge pages', { ...LEAST, hugePages: '4K' }, 'config.hugePages is "4K"; allowed is 2M or 1G or transparent'],
  ['a device for a list', { ...LEAST, disks: 5 }, 'config.disks is 5; allowed is a list'],
  ['no device in a list', { ...LEAST, disks: [null] }, 'config.disks[0] is null; allowed is a table'],
  [
    'a path that is none',
    { ...LEAST, disks: [{ path: '/a' }, { path: 5 }] },
    'config.disks[1].path is 5; allowed is a text',
  ],
  [
    'a share without a tag',
    { ...LEAST, shares: [{ directory: '/' }] },
    'config.shares[0].tag is missing; allowed is a text',
  ],
  ['a net without an end', { ...LEAST, nets: [{}] }, 'config.nets[0].end is missing; allowed is a table'],
  [
    'an unknown end',
    { ...LEAST, nets: [{ end: { kind: 'x' } }] },
    'config.nets[0].end.kind is "x"; allowed is tap or fd',
  ],
  ['a tap without a name', { ...LEAST, nets: [{ end: { kind: 'tap' } }] }, 'config.nets[0].end.name is missing'],
  ['a limit in words', { ...LEAST, disks: [{ path: '/a', limit: 'fast' }] }, 'config.disks[0].limit is "fast"'],
  [
    'bytes for a socket',
    { ...LEAST, vsock: { guestCid: 3, path: new Uint8Array(99) } },
    'config.vsock.path is {"0":0,"1":0',
  ],
  [
    'a prototype that is none',
    { ...LEAST, ...JSON.parse('{"balloon": {"__proto__": {"targetMib": 1}, "targetMib": "1"}}') },
    'config.balloon.targetMib is "1"',
  ],
])('%s is refused by its name', (_what, config, message) => {
  expect(() => readSavedConfig(config)).toThrow(message);
});
