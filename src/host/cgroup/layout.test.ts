import { describe, expect, test } from 'vitest';
import { readLayout } from './layout.ts';

const UNIFIED = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n';
const HYBRID = [
  '31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755',
  '32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct',
  '33 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
  '34 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd',
  '35 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
].join('\n');
const HYBRID_OWN = '4:memory:/a\n3:name=elogind:/x\n2:cpu,cpuacct:/a/b\n1:name=systemd:/\n0::/c\n';

describe('a host with version 2', () => {
  test('has one tree, and its controllers are not named', () => {
    expect(readLayout(UNIFIED, '0::/user.slice/session-1.scope\n')).toEqual({
      version: 2,
      hierarchies: [
        { controllers: [], mountPoint: '/sys/fs/cgroup', own: '/sys/fs/cgroup/user.slice/session-1.scope' },
      ],
    });
  });

  test('takes a process that is outside of what its namespace shows as being at the top', () => {
    expect(readLayout(UNIFIED, '0::/../other\n').hierarchies[0]?.own).toBe('/sys/fs/cgroup/other');
  });
});

describe('a host with both versions', () => {
  test('has a tree for each controller, the one of systemd, and that of version 2', () => {
    const layout = readLayout(HYBRID, HYBRID_OWN);

    expect(layout.version).toBe(1);
    expect(layout.hierarchies).toEqual([
      { controllers: ['memory'], mountPoint: '/sys/fs/cgroup/memory', own: '/sys/fs/cgroup/memory/a' },
      {
        controllers: ['cpu', 'cpuacct'],
        mountPoint: '/sys/fs/cgroup/cpu,cpuacct',
        own: '/sys/fs/cgroup/cpu,cpuacct/a/b',
      },
      { controllers: ['name=systemd'], mountPoint: '/sys/fs/cgroup/systemd', own: '/sys/fs/cgroup/systemd' },
      { controllers: [], mountPoint: '/sys/fs/cgroup/unified', own: '/sys/fs/cgroup/unified/c' },
    ]);
  });

  test('has no tree for a controller that is not mounted', () => {
    const controllers = readLayout(HYBRID, `9:pids:/\n${HYBRID_OWN}`).hierarchies.flatMap((tree) => tree.controllers);

    expect(controllers).not.toContain('pids');
  });
});

test('a mount that shows a part of a tree is counted from that part', () => {
  const mount = '33 31 0:32 /docker/1 /mnt/with\\040blank rw - cgroup cgroup rw,memory\n';

  expect(readLayout(mount, '4:memory:/docker/1/x\n').hierarchies[0]).toEqual({
    controllers: ['memory'],
    mountPoint: '/mnt/with blank',
    own: '/mnt/with blank/x',
  });
});

test('mounts in the root of something else are left alone, whenever they were made', () => {
  const inChroot = (text: string): string => text.replaceAll(' /sys/', ' /srv/chroot/sys/');
  const twice = (text: string): string => [inChroot(text), text, inChroot(text)].join('\n');

  expect(readLayout(twice(UNIFIED), '0::/a\n')).toEqual(readLayout(UNIFIED, '0::/a\n'));
  expect(readLayout(twice(HYBRID), HYBRID_OWN)).toEqual(readLayout(HYBRID, HYBRID_OWN));
});

test('a host without any is told how to mount them', () => {
  expect(() => readLayout('', '0::/\n')).toThrow('mount -t cgroup2 cgroup2 /sys/fs/cgroup');
});
