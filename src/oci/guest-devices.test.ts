import { expect, test } from 'vitest';
import type { Config, Device, DeviceRule } from './config.ts';
import { devicesForGuest, disksOf } from './guest-devices.ts';

const disk: Device = { type: 'b', path: '/dev/xvdc', major: 8, minor: 16, fileMode: 0o660 };
const fuse: Device = { type: 'c', path: '/dev/fuse', major: 10, minor: 229 };
const kvm: Device = { type: 'c', path: '/dev/kvm', major: 10, minor: 232 };
const denyAll: DeviceRule = { allow: false, access: 'rwm' };
const allowAll: DeviceRule = { allow: true, access: 'rwm' };
const allowDisk: DeviceRule = { allow: true, type: 'b', major: 8, minor: 16, access: 'rwm' };
const guestDisk = { host: { major: 8, minor: 16 }, guest: { major: 254, minor: 0 } };

function config(devices: readonly Device[], rules: readonly DeviceRule[]): Config {
  const process = { cwd: '/', args: ['sh'] };
  return { ociVersion: '1.2.0', root: { path: 'rootfs' }, process, linux: { devices, resources: { devices: rules } } };
}

test('a disk is the VM’s, once, however often it is named', () => {
  const found = disksOf(config([disk, fuse, { ...disk, path: '/dev/second' }], [denyAll, allowDisk]));

  expect(found).toEqual([{ major: 8, minor: 16, readOnly: false }]);
});

test.each<[string, readonly DeviceRule[]]>([
  ['may only be read', [denyAll, { ...allowDisk, access: 'r' }]],
  ['has no rule', [denyAll]],
  ['is forbidden again', [denyAll, allowDisk, { ...allowDisk, allow: false }]],
])('a disk that %s is read-only', (_, rules) => {
  expect(disksOf(config([disk], rules))).toEqual([{ major: 8, minor: 16, readOnly: true }]);
});

test('a character device of the host is refused', () => {
  expect(() => disksOf(config([kvm], [denyAll]))).toThrow('linux.devices[0] in config.json is');
});

test('a container that may use every device has the guest’s and none of the host’s', () => {
  const privileged = config([disk, kvm, fuse], [denyAll, allowAll]);

  expect(disksOf(privileged)).toEqual([]);
  const guest = devicesForGuest(privileged, []);
  expect(guest.config.linux?.devices).toEqual([fuse]);
  expect(guest.warnings).toEqual([
    '2 devices of the host are left out: the container has all of the guest’s'.replace('’', "'"),
  ]);
});

test('devices and rules get the numbers that the disk has in the guest', () => {
  const { config: guest } = devicesForGuest(config([disk, fuse], [denyAll, allowDisk]), [guestDisk]);

  expect(guest.linux?.devices).toEqual([{ ...disk, major: 254, minor: 0 }, fuse]);
  expect(guest.linux?.resources?.devices).toEqual([denyAll, { ...allowDisk, major: 254, minor: 0 }]);
});

test('a rule for a disk that the VM has not is dropped: its number may be another disk’s there', () => {
  const stray: DeviceRule = { allow: true, type: 'b', major: 254, minor: 0, access: 'rwm' };

  const { config: guest } = devicesForGuest(config([disk], [denyAll, stray, allowDisk]), [guestDisk]);

  expect(guest.linux?.resources?.devices).toEqual([denyAll, { ...allowDisk, major: 254, minor: 0 }]);
});

test('a disk that the VM has not is refused', () => {
  expect(() => devicesForGuest(config([disk], [denyAll]), [])).toThrow('a disk that the VM was started with');
});
