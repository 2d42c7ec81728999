import { describe, expect, test } from 'vitest';
import { resources } from './validate-resources.ts';

const check = (value: object) => resources(value, 'linux.resources');

describe('resources', () => {
  test('takes what engines send, greatest values and null among it', () => {
    const sent = {
      devices: [
        { allow: false, access: 'rwm' },
        { allow: true, type: 'c', major: 1, minor: -1, access: 'rw' },
      ],
      memory: { limit: JSON.parse('9223372036854775807'), swap: -1, disableOOMKiller: false, swappiness: null },
      cpu: { shares: 1024, quota: -1, period: 100000, burst: 0, cpus: '', idle: 0 },
      pids: { limit: -1 },
      blockIO: { weight: 500, throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1 }], weightDevice: null },
      hugepageLimits: [{ pageSize: '2MB', limit: JSON.parse('18446744073709551615') }],
      network: { classID: 1, priorities: [{ name: 'eth0', priority: 2 }] },
      rdma: { mlx5_0: { hcaHandles: 3 } },
      unified: { 'memory.high': '100' },
    };
    expect(() => check(sent)).not.toThrow();
  });

  test.each<[object, string]>([
    [{ memory: { limit: '512m' } }, 'linux.resources.memory.limit in config.json is "512m"'],
    [{ memory: { limit: 1.5 } }, 'linux.resources.memory.limit in config.json is 1.5'],
    [{ memory: { checkBeforeUpdate: 1 } }, 'linux.resources.memory.checkBeforeUpdate in config.json is 1'],
    [{ cpu: { shares: -1 } }, 'linux.resources.cpu.shares in config.json is -1'],
    [{ cpu: { cpus: 0 } }, 'linux.resources.cpu.cpus in config.json is 0'],
    [{ pids: 5 }, 'linux.resources.pids in config.json is 5; allowed is an object'],
    [{ devices: [{ type: 'c' }] }, 'linux.resources.devices[0].allow in config.json is missing'],
    [{ devices: [{ allow: true, type: 'u' }] }, 'linux.resources.devices[0].type in config.json is "u"'],
    [{ devices: [{ allow: true, access: 'x' }] }, 'linux.resources.devices[0].access in config.json is "x"'],
    [{ devices: [{ allow: true, major: 2 ** 32 }] }, 'linux.resources.devices[0].major in config.json is 4294967296'],
    [{ blockIO: { throttleReadBpsDevice: [{ major: 8, minor: 0 }] } }, 'throttleReadBpsDevice[0].rate in config.json'],
    [{ hugepageLimits: [{ limit: 1 }] }, 'linux.resources.hugepageLimits[0].pageSize in config.json is missing'],
    [{ unified: { 'memory.high': 100 } }, 'linux.resources.unified.memory.high in config.json is 100'],
  ])('refuses %j by its place', (value, message) => {
    expect(() => check(value)).toThrow(message);
  });
});
