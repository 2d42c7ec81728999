import { describe, expect, test } from 'vitest';
import { parseConfig } from './container.ts';

const base = {
  process: { args: ['sh'], cwd: '/' },
  linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }] },
};

const parse = (more: object) => parseConfig(JSON.stringify({ ...base, ...more }), () => true);
const resources = (value: object) => parse({ linux: { ...base.linux, resources: value } }).plan.cgroupFiles;

describe('parseConfig', () => {
  test('takes the least that a container needs', () => {
    const { plan, warnings } = parse({});
    expect(warnings).toEqual([]);
    expect([...plan.namespaces.keys()]).toEqual(['mount', 'pid']);
    expect(plan.process).toMatchObject({ uid: 0, umask: 0o022, oomScoreAdj: 0, capabilities: { bounding: 0n } });
  });

  test('warns of a capability that it does not know, and uses the others', () => {
    const capabilities = { bounding: ['CAP_CHOWN', 'CAP_FUTURE'] };
    const { plan, warnings } = parse({ process: { ...base.process, capabilities } });
    expect(plan.process.capabilities.bounding).toBe(1n);
    expect(warnings).toEqual(['process.capabilities.bounding: CAP_FUTURE is not known']);
  });

  test('takes no capability for known because every object has that name', () => {
    const { warnings } = parse({ process: { ...base.process, capabilities: { bounding: ['__proto__'] } } });
    expect(warnings).toEqual(['process.capabilities.bounding: __proto__ is not known']);
  });

  test.each([
    [{ process: { args: ['a'], cwd: 'relative' } }, 'cwd'],
    [{ process: { args: [], cwd: '/' } }, 'args'],
    [{ process: { args: [1], cwd: '/' } }, 'process.args[0]'],
    [{ process: { args: ['a'], cwd: '/', rlimits: [{ type: 'RLIMIT_LUCK', soft: 1, hard: 1 }] } }, 'RLIMIT_LUCK'],
    [{ process: { args: ['a'], cwd: '/', user: { uid: 1.5 } } }, 'process.user.uid'],
    [{ mounts: [{}] }, 'mounts[0].destination'],
    [{ hostname: 'h' }, 'unable to set hostname without a private UTS namespace'],
    [{ domainname: 'd' }, 'unable to set domainname without a private UTS namespace'],
    [{ linux: { namespaces: [{ type: 'galaxy' }] } }, 'galaxy'],
    [{ linux: { ...base.linux, devices: [{ type: 'x', path: '/dev/x' }] } }, 'linux.devices[0].type'],
    // Names that every object of JavaScript has.
    [{ process: { args: ['a'], cwd: '/', rlimits: [{ type: 'constructor', soft: 1, hard: 1 }] } }, 'constructor'],
    [{ linux: { ...base.linux, devices: [{ type: 'toString', path: '/dev/x' }] } }, 'linux.devices[0].type'],
    [{ linux: { ...base.linux, sysctl: { 'kernel.panic': '1' } } }, 'kernel.panic'],
    [{ linux: { ...base.linux, resources: { unified: { '../x.y': '1' } } } }, '../x.y'],
  ])('refuses %j and names the place', (more, place) => {
    expect(() => parse(more)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(place) }),
    );
  });
});

describe('resources', () => {
  test('become files of cgroup v2', () => {
    const files = resources({
      memory: { limit: 1000, swap: 1500, reservation: 500 },
      pids: { limit: 10 },
      cpu: { shares: 1024, quota: 50000, period: 100000, cpus: '0-1', mems: '0' },
      unified: { 'memory.high': '900' },
    });
    expect(files).toEqual([
      ['memory.max', '1000'],
      // v1's swap limit counts memory as well.
      ['memory.swap.max', '500'],
      ['memory.low', '500'],
      ['pids.max', '10'],
      ['cpu.max', '50000 100000'],
      ['cpu.weight', '39'],
      ['cpuset.cpus', '0-1'],
      ['cpuset.mems', '0'],
      ['memory.high', '900'],
    ]);
  });

  test('take negative values as no limit, and zero as nothing said', () => {
    expect(resources({ memory: { limit: -1, swap: -1 }, pids: { limit: -1 }, cpu: { quota: -1 } })).toEqual([
      ['memory.max', 'max'],
      ['memory.swap.max', 'max'],
      ['pids.max', 'max'],
      ['cpu.max', 'max'],
    ]);
    expect(resources({ memory: { limit: 0, swap: 0 }, pids: { limit: 0 }, cpu: { shares: 0 } })).toEqual([]);
  });

  test.each([
    [2, 1],
    [1024, 39],
    [262144, 10000],
    [1, 1],
    [1000000, 10000],
  ])('%i shares are weight %i', (shares, weight) => {
    expect(resources({ cpu: { shares } })).toEqual([['cpu.weight', String(weight)]]);
  });
});
