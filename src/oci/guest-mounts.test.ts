import { describe, expect, test } from 'vitest';
import type { Mount } from './config.ts';
import { mountsForGuest } from './guest-mounts.ts';

const bindOf = (source: string, ...more: string[]): Mount => ({
  destination: '/x',
  source,
  options: ['bind', ...more],
});

describe('mountsForGuest', () => {
  test.each(['/proc', '/sys', '/sys/fs/cgroup', '//sys/', '/dev', '/dev/', '/dev/pts', '/dev/shm', '/dev/fuse'])(
    "takes %s, which is the kernel's, from the guest's",
    (source) => {
      expect(mountsForGuest([bindOf(source)], 'c', '/shared')).toEqual({ mounts: [bindOf(source)], shares: [] });
    },
  );

  test.each(['/dev/shm/data', '/srv/sys', '/system', '/devices', '/process', 'dev', '/srv/../dev', '/sys/../srv', '/'])(
    "shares the host's %s",
    (source) => {
      const { mounts, shares } = mountsForGuest([bindOf(source)], 'c', '/shared');

      expect(shares).toEqual([{ source, target: 'c/mounts/0', recursive: false }]);
      expect(mounts[0]?.source).toBe('/shared/c/mounts/0');
    },
  );

  test('shares nothing for what changes a mount that is there', () => {
    const mount = bindOf('/srv', 'remount', 'ro');

    expect(mountsForGuest([mount], 'c', '/shared')).toEqual({ mounts: [mount], shares: [] });
  });

  test('hands on what the agent reads of a bind mount: options and mappings', () => {
    const mapping = [{ containerID: 0, hostID: 1000, size: 1 }];
    const mount = { ...bindOf('/srv', 'ridmap'), uidMappings: mapping, gidMappings: mapping };

    const { mounts } = mountsForGuest([mount], 'c', '/shared');

    expect(mounts).toEqual([{ ...mount, source: '/shared/c/mounts/0' }]);
  });

  test('lets a file system be on a device that the host has attached, and on no other', () => {
    const mount = { destination: '/disk', type: 'ext4', source: '/dev/vdb' };

    expect(mountsForGuest([mount], 'c', '/shared', (source) => source === '/dev/vdb').mounts).toEqual([mount]);
    expect(() => mountsForGuest([mount], 'c', '/shared')).toThrow('mounts[0].type in config.json is "ext4"');
  });
});
