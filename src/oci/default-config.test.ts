import { expect, test } from 'vitest';
import { defaultConfig, rootlessConfig } from './default-config.ts';
import { validateConfig } from './validate.ts';

test.each([
  ['of root', defaultConfig()],
  ['without root', rootlessConfig({ uid: 1000, gid: 100 })],
])('the configuration to start from is valid: %s', (_, config) => {
  expect(validateConfig(JSON.parse(JSON.stringify(config)))).toEqual(config);
});

test('a rootless container is its user alone, in its network, without limits', () => {
  const { linux, mounts } = rootlessConfig({ uid: 1000, gid: 100 });

  expect(linux).toMatchObject({
    uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
    gidMappings: [{ containerID: 0, hostID: 100, size: 1 }],
  });
  expect(linux?.namespaces?.map(({ type }) => type)).toEqual(['pid', 'ipc', 'uts', 'mount', 'cgroup', 'user']);
  expect(linux).not.toHaveProperty('resources');
  expect(JSON.stringify(mounts)).not.toContain('gid=');
  expect(mounts).toHaveLength(defaultConfig().mounts?.length ?? 0);
});
