import { describe, expect, test } from 'vitest';
import { JsonObject } from './json.ts';
import { parseExecProcess, parseProcess } from './process.ts';

const CAP_CHOWN = 1n;
const CAP_AUDIT_READ = 37;

const read = (more: object, warnings: string[] = [], isKnown = (_capability: number) => true) =>
  parseProcess(new JsonObject({ args: ['a'], cwd: '/', ...more }, 'process'), warnings, isKnown);

describe('parseProcess', () => {
  test('keeps the last of the variables with one name, where it stood', () => {
    expect(read({ env: ['A=1', 'B=', 'A=2=3'] }).env).toEqual(['B=', 'A=2=3']);
  });

  test.each([
    ['A', "invalid environment variable: missing '='"],
    ['', "invalid environment variable: missing '='"],
    ['=x', 'invalid environment variable: name cannot be empty'],
  ])('refuses the variable %j', (variable, message) => {
    expect(() => read({ env: [variable] })).toThrow(message);
  });

  test('ignores a user name, which is for other systems', () => {
    expect(read({ user: { uid: 1, gid: 2, username: 'somebody' } })).toMatchObject({ uid: 1, gid: 2 });
  });

  test('takes a limit of all bits, as JavaScript reads it', () => {
    const rlimits = JSON.parse('[{"type":"RLIMIT_CORE","soft":18446744073709551615,"hard":18446744073709551615}]');
    expect(read({ rlimits }).limits).toMatchObject([{ soft: 2 ** 64, hard: 2 ** 64 }]);
  });

  test('leaves out a capability that the kernel does not have, and says so', () => {
    const warnings: string[] = [];
    const capabilities = { bounding: ['CAP_CHOWN', 'CAP_AUDIT_READ'] };
    const plan = read({ capabilities }, warnings, (capability) => capability < CAP_AUDIT_READ);
    expect(plan.capabilities.bounding).toBe(CAP_CHOWN);
    expect(warnings).toEqual(['process.capabilities.bounding: CAP_AUDIT_READ is not known']);
  });

  test.each([
    [{ user: { uid: -1 } }, 'process.user.uid'],
    // The kernel's "leave it alone", which would leave the process root.
    [{ user: { uid: 2 ** 32 - 1 } }, 'process.user.uid'],
    [{ user: { gid: 2 ** 32 } }, 'process.user.gid'],
    [{ user: { additionalGids: [1, -1] } }, 'process.user.additionalGids[1]'],
    [{ user: { umask: 0o1000 } }, 'process.user.umask'],
    [{ oomScoreAdj: 1001 }, 'process.oomScoreAdj'],
    [{ consoleSize: { height: 65536, width: 1 } }, 'process.consoleSize.height'],
    [{ rlimits: [{ type: 'RLIMIT_CPU', soft: -1, hard: 1 }] }, 'process.rlimits[0].soft'],
    [{ rlimits: [{ type: 'RLIMIT_CPU', soft: 1 }] }, 'process.rlimits[0].hard'],
    [
      {
        rlimits: [
          { type: 'RLIMIT_CPU', soft: 1, hard: 1 },
          { type: 'RLIMIT_CPU', soft: 1, hard: 1 },
        ],
      },
      'process.rlimits[1].type',
    ],
  ])('refuses %j and names the place', (more, place) => {
    expect(() => read(more)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining(place) }),
    );
  });
});

describe('parseExecProcess', () => {
  const container = {
    ...read({
      user: { uid: 5, gid: 5, umask: 0o027 },
      capabilities: { bounding: ['CAP_CHOWN'] },
      rlimits: [{ type: 'RLIMIT_CPU', soft: 1, hard: 2 }],
      noNewPrivileges: true,
      oomScoreAdj: 100,
      scheduler: { policy: 'SCHED_BATCH' },
      ioPriority: { class: 'IOPRIO_CLASS_IDLE' },
      execCPUAffinity: { final: '0' },
    }),
    personality: 8,
  };
  const exec = (more: object) =>
    parseExecProcess(new JsonObject({ args: ['b'], cwd: '/tmp', ...more }, ''), container, [], () => true);

  test("has the container's attributes where it says nothing, and a user of its own", () => {
    expect(exec({})).toEqual({ ...container, args: ['b'], cwd: '/tmp', uid: 0, gid: 0 });
  });

  test('has what it says, even where that is nothing', () => {
    const plan = exec({
      user: { uid: 0, gid: 0, umask: 0 },
      capabilities: {},
      rlimits: [{ type: 'RLIMIT_CORE', soft: 0, hard: 0 }],
      noNewPrivileges: false,
      oomScoreAdj: 0,
      scheduler: { policy: 'SCHED_OTHER' },
      ioPriority: { class: 'IOPRIO_CLASS_BE' },
      execCPUAffinity: {},
    });
    expect(plan).toMatchObject({
      umask: 0,
      capabilities: { bounding: 0n },
      limits: [{ name: 'RLIMIT_CORE' }],
      noNewPrivileges: false,
      oomScoreAdj: 0,
      scheduler: { name: 'SCHED_OTHER' },
      ioPriority: { name: 'IOPRIO_CLASS_BE' },
      affinity: { initial: undefined, final: undefined },
      personality: 8,
    });
  });
});
