import { expect, test } from 'vitest';
import { startStorageDaemon, storageDaemonCommand } from './storage-daemon.ts';

function optionsOf(command: readonly string[]): Record<string, unknown>[] {
  return command.filter((argument) => argument.startsWith('{')).map((argument) => JSON.parse(argument));
}

test('an image is exported over the descriptor, writable', () => {
  const command = storageDaemonCommand({ path: '/a,b=c.qcow2', format: 'qcow2' }, '/qsd', false, 3);
  expect(command[0]).toBe('/qsd');
  expect(optionsOf(command)).toEqual([
    expect.objectContaining({ driver: 'file', filename: '/a,b=c.qcow2', 'read-only': false }),
    expect.objectContaining({ driver: 'qcow2', file: 'file', 'read-only': false }),
    expect.objectContaining({ type: 'vhost-user-blk', writable: true, addr: { type: 'fd', str: '3' } }),
  ]);
});

test('a read-only image on a block device is opened read-only all the way', () => {
  const command = storageDaemonCommand({ path: '/dev/sdz', format: 'vmdk', readOnly: true }, '/qsd', true, 3);
  expect(optionsOf(command)).toEqual([
    expect.objectContaining({ driver: 'host_device', 'read-only': true }),
    expect.objectContaining({ driver: 'vmdk', 'read-only': true }),
    expect.objectContaining({ writable: false }),
  ]);
});

test('an image that is not there is an error before anything starts', () => {
  expect(() => startStorageDaemon({ path: '/nowhere/image', format: 'qcow2' })).toThrow(
    'cannot open the disk image /nowhere/image: ENOENT',
  );
});
