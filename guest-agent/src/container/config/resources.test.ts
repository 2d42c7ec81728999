import { describe, expect, test } from 'vitest';
import { JsonObject } from './json.ts';
import { type DerivedValue, parseResources } from './resources.ts';

const parse = (value: object, warnings: string[] = []) =>
  parseResources(new JsonObject(value, 'linux.resources'), warnings);
const writes = (value: object) => parse(value).writes.map(({ file, value: text }) => [file, text]);
/** What the first value becomes in a cgroup whose file has this text. */
const derived = (value: object, current: string) =>
  (parse(value).writes[0] as { value: DerivedValue }).value.derive(current);

test('become files of cgroup v2, in the order of runc', () => {
  const files = writes({
    unified: { 'memory.high': '900', 'io.latency': '8:0 target=10' },
    hugepageLimits: [{ pageSize: '2MB', limit: 4194304 }],
    cpu: { shares: 1024, quota: 50000, period: 100000, burst: 1000, idle: 0, cpus: '0-1', mems: '0' },
    blockIO: { weight: 500, throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1048576 }] },
    memory: { limit: 1000, swap: 1500, reservation: 500 },
    pids: { limit: 10 },
  });
  expect(files).toEqual([
    ['pids.max', '10'],
    // v1's swap limit counts memory as well.
    ['memory.swap.max', '500'],
    ['memory.max', '1000'],
    ['memory.low', '500'],
    ['io.weight', '4950'],
    ['io.max', '8:0 rbps=1048576'],
    ['cpu.idle', '0'],
    ['cpu.weight', '100'],
    ['cpu.max.burst', '0'],
    ['cpu.max', '50000 100000'],
    ['cpu.max.burst', '1000'],
    ['cpuset.cpus', '0-1'],
    ['cpuset.mems', '0'],
    ['hugetlb.2MB.max', '4194304'],
    ['hugetlb.2MB.rsvd.max', '4194304'],
    ['memory.high', '900'],
    ['io.latency', '8:0 target=10'],
  ]);
});

test('name the field that asks, for messages', () => {
  const resources = parse({ blockIO: { throttleWriteIOPSDevice: [{ major: 8, minor: 16, rate: 5 }] } });
  expect(resources.writes).toEqual([
    { file: 'io.max', value: '8:16 wiops=5', field: 'linux.resources.blockIO.throttleWriteIOPSDevice[0].rate' },
  ]);
});

describe('no limit', () => {
  test('is what negative values are', () => {
    expect(writes({ memory: { limit: -1, swap: -1 }, pids: { limit: -1 }, cpu: { quota: -1 } })).toEqual([
      ['pids.max', 'max'],
      ['memory.swap.max', 'max'],
      ['memory.max', 'max'],
      ['cpu.max', 'max'],
    ]);
  });

  test('for memory is none for swap either', () => {
    expect(writes({ memory: { limit: -1 } })).toEqual([
      ['memory.swap.max', 'max'],
      ['memory.max', 'max'],
    ]);
  });

  test('is what the greatest numbers of 64 bits are, which JavaScript rounds', () => {
    const limit = JSON.parse('18446744073709551615');
    expect(writes({ hugepageLimits: [{ pageSize: '1GB', limit }] })[0]).toEqual(['hugetlb.1GB.max', 'max']);
    expect(writes({ memory: { limit: JSON.parse('9223372036854775807') } })).toEqual([['memory.max', 'max']]);
  });

  test('is a rate of zero', () => {
    const device = { major: 8, minor: 0, rate: 0 };
    expect(writes({ blockIO: { throttleReadIOPSDevice: [device] } })).toEqual([['io.max', '8:0 riops=max']]);
  });
});

test('zero has nothing said', () => {
  const zeros = { limit: 0, swap: 0, reservation: 0 };
  expect(
    writes({ memory: zeros, pids: { limit: 0 }, cpu: { shares: 0, quota: 0, period: 0 }, blockIO: { weight: 0 } }),
  ).toEqual([]);
});

describe('swap', () => {
  test('may be none', () => {
    expect(parse({ memory: { limit: 1000, swap: 1000 } }).writes[0]).toMatchObject({
      file: 'memory.swap.max',
      value: '0',
      optional: true,
    });
  });

  test('is reckoned with the limit that memory has where none is named', () => {
    expect(derived({ memory: { swap: 1500 } }, '1000\n')).toBe('500');
  });

  test('cannot be limited where memory is not', () => {
    expect(() => derived({ memory: { swap: 1500 } }, 'max\n')).toThrow('unable to set swap limit without memory limit');
  });

  test.each([
    ['named', () => writes({ memory: { limit: 1000, swap: 999 } })],
    ['that it has', () => derived({ memory: { swap: 999 } }, '1000\n')],
  ])('must not be below the limit of memory that is %s', (_which, action) => {
    expect(action).toThrow('memory+swap limit should be >= memory limit');
  });
});

describe('cpu', () => {
  test('keeps its quota where a period alone is named', () => {
    expect(derived({ cpu: { period: 20000 } }, '5000 100000\n')).toBe('5000 20000');
  });

  test('gets its weight before it is idle, and after', () => {
    expect(writes({ cpu: { shares: 1024, idle: 1 } }).map(([file]) => file)).toEqual(['cpu.weight', 'cpu.idle']);
    expect(writes({ cpu: { shares: 1024, idle: 0 } }).map(([file]) => file)).toEqual(['cpu.idle', 'cpu.weight']);
  });

  test('may lose its burst alone', () => {
    expect(writes({ cpu: { burst: 0 } })).toEqual([['cpu.max.burst', '0']]);
  });

  test.each(['realtimeRuntime', 'realtimePeriod'])('has no %s in cgroup v2', (name) => {
    expect(() => writes({ cpu: { [name]: 1000 } })).toThrow(`linux.resources.cpu.${name} cannot be set`);
    expect(writes({ cpu: { [name]: 0 } })).toEqual([]);
  });
});

test.each([
  [10, '1'],
  [500, '4950'],
  [1000, '10000'],
])('block weight %i is io.weight %s', (weight, text) => {
  const device = { major: 253, minor: 0, weight };
  expect(writes({ blockIO: { weight, weightDevice: [device] } })).toEqual([
    ['io.weight', text],
    ['io.weight', `253:0 ${text}`],
  ]);
});

test.each([
  ['memory.kernel', { memory: { kernel: 1 } }],
  ['memory.kernelTCP', { memory: { kernelTCP: 1 } }],
  ['memory.useHierarchy', { memory: { useHierarchy: false } }],
  ['memory.swappiness', { memory: { swappiness: 60 } }],
  ['memory.disableOOMKiller', { memory: { disableOOMKiller: true } }],
  ['blockIO.leafWeight', { blockIO: { leafWeight: 10 } }],
  ['network', { network: { classID: 1 } }],
  ['rdma', { rdma: { mlx5: { hcaHandles: 1 } } }],
])('%s is told of and not applied', (path, value) => {
  const warnings: string[] = [];
  expect(parse(value, warnings).writes).toEqual([]);
  expect(warnings).toEqual([expect.stringContaining(`linux.resources.${path} is not applied`)]);
});

test('weights are told to need a device that weighs', () => {
  const warnings: string[] = [];
  parse({ blockIO: { weight: 100 } }, warnings);
  expect(warnings).toEqual([expect.stringContaining('io.cost.qos')]);
});

test('are checked against what is in use only when asked to', () => {
  expect(parse({ memory: { limit: 5, swap: 7, checkBeforeUpdate: true } }).usageCheck).toEqual({
    limit: 5,
    limitWithSwap: 7,
  });
  expect(parse({ memory: { limit: 5 } }).usageCheck).toBeUndefined();
});

test.each([
  [{ unified: { '../x.y': '1' } }, '../x.y'],
  [{ unified: { 'a/b.c': '1' } }, 'a/b.c'],
  [{ unified: { memory: '1' } }, '"memory" is no control file'],
  [{ unified: { 'cgroup.procs': '1' } }, '"cgroup.procs" is no control file that can be set'],
  [{ unified: { 'cgroup.kill': '1' } }, 'cgroup.kill'],
  [{ unified: { 'memory.max': 5 } }, 'linux.resources.unified.memory.max must be a string'],
  [{ hugepageLimits: [{ pageSize: '../2MB', limit: 1 }] }, 'hugepageLimits[0].pageSize'],
  [{ hugepageLimits: [{ pageSize: '2MB' }] }, 'hugepageLimits[0].limit'],
  [{ blockIO: { weight: 9 } }, 'blockIO.weight is 9; allowed is 10 to 1000'],
  [{ blockIO: { throttleReadBpsDevice: [{ major: 8, minor: 0 }] } }, 'throttleReadBpsDevice[0].rate'],
  [{ memory: { limit: '1g' } }, 'linux.resources.memory.limit'],
])('refuses %j by its place', (value, place) => {
  expect(() => parse(value)).toThrow(place);
});
