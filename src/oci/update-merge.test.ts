import { describe, expect, test } from 'vitest';
import { effectiveUpdate, mergeResources, namedResources, type Resources, undoOf } from './update-merge.ts';

const MIB = 1 << 20;

describe('namedResources', () => {
  test('leaves out null, zeros that mean "not set", what is empty, and devices', () => {
    const resources = {
      devices: [{ allow: false, access: 'rwm' }],
      memory: { limit: 0, swap: null, reservation: 0 },
      cpu: { shares: 0, cpus: '', quota: 5000 },
      pids: null,
      blockIO: { weight: 0, weightDevice: [] },
      hugepageLimits: [],
      network: {},
    } as unknown as Resources;

    expect(namedResources(resources)).toEqual({ cpu: { quota: 5000 } });
  });

  test('keeps zeros that are values', () => {
    const resources = {
      cpu: { idle: 0, burst: 0 },
      memory: { checkBeforeUpdate: false, swappiness: 0 },
      unified: { 'memory.low': '0', 'cgroup.pressure': '' },
    };

    expect(namedResources(resources)).toEqual(resources);
  });
});

test('what is merged keeps what is not named, field by field and item by item', () => {
  const kept = {
    memory: { limit: 64 * MIB, reservation: MIB },
    pids: { limit: 10 },
    hugepageLimits: [
      { pageSize: '2MB', limit: 0 },
      { pageSize: '1GB', limit: 0 },
    ],
    blockIO: { weightDevice: [{ major: 8, minor: 0, weight: 10 }] },
  };
  const change = {
    memory: { limit: 32 * MIB },
    cpu: { quota: 5000 },
    hugepageLimits: [{ pageSize: '2MB', limit: 2 * MIB }],
    blockIO: { weightDevice: [{ major: 8, minor: 16, weight: 20 }] },
  };

  expect(mergeResources<Resources>(kept, change)).toEqual({
    memory: { limit: 32 * MIB, reservation: MIB },
    pids: { limit: 10 },
    cpu: { quota: 5000 },
    hugepageLimits: [
      { pageSize: '2MB', limit: 2 * MIB },
      { pageSize: '1GB', limit: 0 },
    ],
    blockIO: {
      weightDevice: [
        { major: 8, minor: 0, weight: 10 },
        { major: 8, minor: 16, weight: 20 },
      ],
    },
  });
});

describe('effectiveUpdate', () => {
  test.each<[what: string, kept: Resources, change: Resources, expected: Resources]>([
    ['other limits alone', { memory: { limit: MIB } }, { pids: { limit: 5 } }, { pids: { limit: 5 } }],
    [
      'swap with the memory that it is counted with',
      { memory: { limit: MIB, swap: 2 * MIB } },
      { memory: { limit: 2 * MIB } },
      { memory: { limit: 2 * MIB, swap: 2 * MIB } },
    ],
    [
      'memory with its swap',
      { memory: { limit: MIB } },
      { memory: { swap: 3 * MIB } },
      { memory: { limit: MIB, swap: 3 * MIB } },
    ],
    [
      'no limit of memory as none of swap either',
      { memory: { limit: MIB, swap: 2 * MIB } },
      { memory: { limit: -1 } },
      { memory: { limit: -1, swap: -1 } },
    ],
    [
      'a swap beside unlimited memory as it is',
      { memory: { limit: -1, swap: -1 } },
      { memory: { swap: MIB } },
      { memory: { limit: -1, swap: MIB } },
    ],
    [
      'the period with its quota and burst, but no weight',
      { cpu: { quota: 5000, burst: 100, shares: 7 } },
      { cpu: { period: 20_000 } },
      { cpu: { quota: 5000, period: 20_000, burst: 100 } },
    ],
    ['a weight alone', { cpu: { quota: 5000 } }, { cpu: { shares: 7 } }, { cpu: { shares: 7 } }],
    [
      'the wish to check the use of memory, once it was made',
      { memory: { checkBeforeUpdate: true } },
      { memory: { limit: MIB } },
      { memory: { limit: MIB, checkBeforeUpdate: true } },
    ],
  ])('names %s', (_, kept, change, expected) => {
    expect(effectiveUpdate(kept, change)).toEqual(expected);
  });

  test.each<[Resources, Resources, string]>([
    [{}, { memory: { swap: MIB } }, 'unable to set swap limit without memory limit'],
    [{}, { memory: { limit: 2 * MIB, swap: MIB } }, 'memory+swap limit should be >= memory limit'],
    [
      { memory: { limit: MIB, swap: 2 * MIB } },
      { memory: { limit: 3 * MIB } },
      'memory+swap limit should be >= memory limit',
    ],
    [{}, { memory: { limit: -5, swap: MIB } }, 'invalid memory value: -5'],
  ])('%j changed by %j is refused', (kept, change, message) => {
    expect(() => effectiveUpdate(kept, change)).toThrow(message);
  });
});

describe('undoOf', () => {
  test('names the old values, and for what had none those of a new control group', () => {
    const kept: Resources = { memory: { limit: MIB }, pids: { limit: 9 }, unified: { 'cpu.weight': '50' } };
    const update: Resources = {
      memory: { limit: 2 * MIB, swap: 3 * MIB, reservation: MIB, checkBeforeUpdate: true },
      pids: { limit: 5 },
      cpu: { quota: 5000, period: 20_000, burst: 10, shares: 2, idle: 1, cpus: '0' },
      hugepageLimits: [{ pageSize: '2MB', limit: 0 }],
      unified: { 'cpu.weight': '7', 'memory.high': '5', 'memory.min': '5', 'misc.odd': '1' },
    };

    expect(undoOf(kept, update)).toEqual({
      memory: { limit: MIB, swap: -1, reservation: 0 },
      pids: { limit: 9 },
      cpu: { quota: -1, period: 100_000, burst: 0, shares: 1024, idle: 0 },
      hugepageLimits: [{ pageSize: '2MB', limit: 2 ** 63 }],
      unified: { 'cpu.weight': '50', 'memory.high': 'max', 'memory.min': '0', 'memory.low': '0' },
    });
  });

  test('of a reservation that there was before is that reservation', () => {
    const kept: Resources = { memory: { reservation: MIB } };

    expect(undoOf(kept, { memory: { reservation: 2 * MIB } })).toEqual({ memory: { reservation: MIB } });
  });
});
