import { describe, expect, test } from 'vitest';
import { parseConfig } from './container.ts';

const base = {
  process: { args: ['sh'], cwd: '/' },
  linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }] },
};

const parse = (more: object) => parseConfig(JSON.stringify({ ...base, ...more }), () => true);

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

  test('warns of a virtual machine that it does not choose', () => {
    const { warnings } = parse({ vm: { kernel: { path: '/vmlinuz' } } });
    expect(warnings).toEqual(["vm is not applied: the virtual machine is the runtime's to choose"]);
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
