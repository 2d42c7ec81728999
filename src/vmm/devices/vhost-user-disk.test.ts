import { describe, expect, test } from 'vitest';
import { VmConfigError } from '../config-error.ts';
import { disk } from './disk.ts';

describe('--disk of a program', () => {
  test.each([
    ['/a.qcow2,format=qcow2,ro', { path: '/a.qcow2', format: 'qcow2', readOnly: true }],
    ['vhost-user=/run/disk.sock', { path: '/run/disk.sock', vhostUser: true }],
  ])('%s is read, and needs memory that others can map', (text, expected) => {
    const config = disk.read(text);
    expect(config).toEqual(expected);
    expect(disk.needsSharedMemory?.(config)).toBe(true);
  });

  test.each([
    ['/a,format=ext4', 'disk format is "ext4"'],
    ['/a,vhost-user=/b', 'vhost-user=SOCKET'],
  ])('%s is refused: %s', (text, message) => {
    expect(() => disk.read(text)).toThrow(message);
  });

  test.each([
    ['vhost-user=/a,format=qcow2', 'none with vhost-user'],
    ['vhost-user=/a,id=name', 'none but with a raw image'],
    ['/a,format=vmdk,id=name', 'none but with a raw image'],
  ])('%s is refused before anything is opened: %s', (text, message) => {
    const config = disk.read(text);
    expect(() => disk.check(config)).toThrow(VmConfigError);
    expect(() => disk.check(config)).toThrow(message);
  });
});
