import { describe, expect, test } from 'vitest';
import { supportedFeatures } from '../../../../src/oci/features.ts';
import * as abi from '../../linux/abi.gen.ts';
import { parseMountOptions } from './mount-options.ts';

describe('parseMountOptions', () => {
  test('gives what it does not know to the file system', () => {
    expect(parseMountOptions(['nosuid', 'size=64k', 'mode=755'])).toMatchObject({
      flags: abi.MS_NOSUID,
      data: 'size=64k,mode=755',
    });
    expect(parseMountOptions(['constructor', 'rtoString']).data).toBe('constructor,rtoString');
  });

  test('lets the later of two opposites win', () => {
    expect(parseMountOptions(['ro', 'rw']).flags).toBe(0);
    expect(parseMountOptions(['ro', 'rw']).attributes).toEqual({ set: 0, clear: abi.MOUNT_ATTR_RDONLY });
    expect(parseMountOptions(['exec', 'noexec']).attributes).toEqual({ set: abi.MOUNT_ATTR_NOEXEC, clear: 0 });
  });

  test('changes the access time as the one choice it is', () => {
    const { attributes, flags } = parseMountOptions(['noatime', 'strictatime']);
    expect(flags).toBe(abi.MS_STRICTATIME);
    expect(attributes).toEqual({ set: abi.MOUNT_ATTR_STRICTATIME, clear: abi.MOUNT_ATTR__ATIME });
  });

  test('tells recursive attributes from recursive binds and propagation', () => {
    const options = parseMountOptions(['rbind', 'rro', 'rslave', 'relatime']);
    expect(options).toMatchObject({
      bind: 'recursive',
      attributes: { set: abi.MOUNT_ATTR_RELATIME },
      recursiveAttributes: { set: abi.MOUNT_ATTR_RDONLY, clear: 0 },
      propagations: [abi.MS_SLAVE | abi.MS_REC],
      data: '',
    });
  });

  test('keeps a recursive bind when a plain one is named as well', () => {
    expect(parseMountOptions(['rbind', 'bind']).bind).toBe('recursive');
  });

  test('changes access times below as the one choice they are, too', () => {
    expect(parseMountOptions(['rnoatime', 'rrelatime']).recursiveAttributes).toEqual({
      set: abi.MOUNT_ATTR_RELATIME,
      clear: abi.MOUNT_ATTR__ATIME,
    });
    expect(parseMountOptions(['rro', 'rstrictatime', 'rrw']).recursiveAttributes).toEqual({
      set: abi.MOUNT_ATTR_STRICTATIME,
      clear: abi.MOUNT_ATTR__ATIME | abi.MOUNT_ATTR_RDONLY,
    });
  });

  test('keeps what is no matter of a mount from the file system', () => {
    expect(parseMountOptions(['tmpcopyup', 'idmap', 'ridmap', 'size=1m'])).toMatchObject({
      copyUp: true,
      idMap: 'recursive',
      data: 'size=1m',
    });
  });

  test.each(supportedFeatures()['mountOptions'] as string[])('knows %s, which the runtime says it supports', (name) => {
    expect(parseMountOptions([name]).data).toBe('');
  });
});
