import { describe, expect, test } from 'vitest';
import { ConfigError } from './check.ts';
import type { Config, Mount, Namespace } from './config.ts';
import { defaultConfig } from './default-config.ts';
import { hostShares, planForGuest } from './guest-config.ts';
import { compileSeccomp } from './seccomp/compile.ts';

function withMounts(...mounts: Mount[]): Config {
  return { ...defaultConfig(), mounts };
}

describe('planForGuest', () => {
  test('shares what is bound, and binds what the guest sees of it', () => {
    const config = withMounts(
      { destination: '/data', type: 'bind', source: '/srv/data', options: ['rbind', 'ro'] },
      { destination: '/etc/hosts', type: 'none', source: 'hosts', options: ['bind'] },
    );

    const { config: guest, shares } = planForGuest(config, 'c1', '/shared');

    expect(shares).toEqual([
      { source: '/srv/data', target: 'c1/mounts/0', recursive: true },
      { source: 'hosts', target: 'c1/mounts/1', recursive: false },
    ]);
    expect(guest.mounts).toEqual([
      { destination: '/data', type: 'bind', source: '/shared/c1/mounts/0', options: ['rbind', 'ro'] },
      { destination: '/etc/hosts', type: 'none', source: '/shared/c1/mounts/1', options: ['bind'] },
    ]);
  });

  test('takes null for a part that is not there', () => {
    const config = JSON.parse(JSON.stringify({ ...defaultConfig(), linux: null, mounts: null })) as Config;

    expect(planForGuest(config, 'c1', '/shared').config).toMatchObject({ linux: null, mounts: [] });
  });

  test("leaves the kernel's own file systems to the guest's kernel", () => {
    const config = defaultConfig();

    const { config: guest, shares } = planForGuest(config, 'c1', '/shared');

    expect(shares).toEqual([]);
    expect(guest.mounts).toEqual(config.mounts);
  });

  test('keeps what belongs to the host out of the guest', () => {
    const namespaces = [{ type: 'pid', path: '/proc/1/ns/pid' } as const, { type: 'mount' } as const];
    const linux = { namespaces, cgroupsPath: 'system.slice:x:y' };
    const hooks = { prestart: [{ path: '/bin/true' }] };

    const { config: guest } = planForGuest({ ...defaultConfig(), hooks, linux }, 'c1', '/shared');

    expect(guest.linux).toEqual({ namespaces: [{ type: 'pid' }, { type: 'mount' }], cgroupsPath: '/c1' });
    expect(guest.hooks).toEqual({ createContainer: [], startContainer: [] });
  });

  test('joins what the guest has already, and leaves out what is of the VM itself', () => {
    const path = '/proc/7/ns/x';
    const mappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
    const namespaces = (['ipc', 'uts', 'user', 'pid'] as const).map((type) => ({ type, path }));
    const config = { ...defaultConfig(), linux: { namespaces, uidMappings: mappings, gidMappings: mappings } };
    const shared = { ipc: '/proc/30/ns/ipc', uts: '', user: '' };

    const { config: guest } = planForGuest(config, 'c1', '/shared', shared);

    expect(guest.linux).toEqual({
      namespaces: [{ type: 'ipc', path: '/proc/30/ns/ipc' }, { type: 'pid' }],
      cgroupsPath: '/c1',
    });
  });

  test.each<Namespace>([{ type: 'network' }, { type: 'network', path: '/run/netns/x' }])(
    "lets the VM stand for the container's network namespace: %j",
    (network) => {
      const linux = { namespaces: [{ type: 'ipc' } as const, network] };

      const { config: guest } = planForGuest({ ...defaultConfig(), linux }, 'c1', '/shared');

      expect(guest.linux?.namespaces).toEqual([{ type: 'ipc' }]);
    },
  );

  test('has the guest make a user namespace like the one of the host that is to be joined', () => {
    const mappings = [{ containerID: 0, hostID: 100000, size: 65536 }];
    const namespaces = [{ type: 'user', path: '/proc/7/ns/user' } as const];
    const linux = { namespaces, uidMappings: mappings, gidMappings: mappings };

    const { config: guest } = planForGuest({ ...defaultConfig(), linux }, 'c1', '/shared');

    expect(guest.linux).toMatchObject({ namespaces: [{ type: 'user' }], uidMappings: mappings, gidMappings: mappings });
  });

  test('refuses to join a user namespace of the host whose mappings it is not told', () => {
    const linux = { namespaces: [{ type: 'user', path: '/proc/7/ns/user' } as const] };

    const plan = () => planForGuest({ ...defaultConfig(), linux }, 'c1', '/shared');

    expect(plan).toThrow(
      'linux.namespaces[0].path in config.json is "/proc/7/ns/user"; allowed is a new user namespace',
    );
  });

  test('compiles the filter for system calls, and sends it beside the configuration', () => {
    const seccomp = { defaultAction: 'SCMP_ACT_ERRNO' } as const;

    const plan = planForGuest({ ...defaultConfig(), linux: { seccomp } }, 'c1', '/shared');

    expect(plan.seccomp).toEqual(compileSeccomp(seccomp));
    expect(plan.config.linux).toEqual({ cgroupsPath: '/c1' });
  });

  test.each([undefined, null, {}, { defaultAction: '', syscalls: [] }, { syscalls: null }])(
    'has no filter for %j, as in runc',
    (seccomp) => {
      const config = { ...defaultConfig(), linux: { seccomp } } as unknown as Config;

      const plan = planForGuest(config, 'c1', '/shared');

      expect(plan.seccomp).toBeUndefined();
      expect(plan.config.linux).not.toHaveProperty('seccomp');
    },
  );

  test.each<[string, Mount, string]>([
    ['a bind mount of nothing', { destination: '/x', type: 'bind' }, 'mounts[0].source in config.json is missing'],
    [
      'a file system of the host',
      { destination: '/x', type: 'nfs', source: 'server:/x' },
      'mounts[0].type in config.json is "nfs"; allowed is a bind mount or one of proc, sysfs',
    ],
  ])('refuses %s', (_, mount, message) => {
    expect(() => planForGuest(withMounts(mount), 'c1', '/shared')).toThrow(ConfigError);
    expect(() => planForGuest(withMounts(mount), 'c1', '/shared')).toThrow(message);
  });
});

test('hostShares tells before there is a guest what its plan will share', () => {
  const hooks = { createContainer: [{ path: '/bin/hook' }], startContainer: [{ path: '/bin/inside' }] };
  const disk = { destination: '/disk', type: 'ext4', source: '/dev/sda1' };
  const config = { ...withMounts(disk, { destination: '/data', source: '/srv', options: ['bind'] }), hooks };

  const shares = hostShares(config, 'c1');

  expect(shares).toEqual(planForGuest(config, 'c1', '/shared', {}, (source) => source === '/dev/sda1').shares);
  expect(shares.map(({ source }) => source)).toEqual(['/srv', '/bin/hook']);
});
