import { describe, expect, test } from 'vitest';
import type { CgroupLayout } from './layout.ts';
import { planCgroup, type RunningSystemd } from './plan.ts';

const ROOT = '/sys/fs/cgroup';
const VERSION_2: CgroupLayout = {
  version: 2,
  hierarchies: [{ controllers: [], mountPoint: ROOT, own: `${ROOT}/user.slice/session-1.scope` }],
};
const VERSION_1: CgroupLayout = {
  version: 1,
  hierarchies: [
    { controllers: ['memory'], mountPoint: `${ROOT}/memory`, own: `${ROOT}/memory/mine` },
    { controllers: ['cpu'], mountPoint: `${ROOT}/cpu`, own: `${ROOT}/cpu` },
  ],
};
const SYSTEMD: RunningSystemd = { isUser: false, cgroup: '/' };

function paths(layout: CgroupLayout, cgroupsPath: string, systemd = false, running?: RunningSystemd): string[] {
  const request = { id: 'c1', cgroupsPath, systemd, rootless: false };
  return planCgroup(layout, request, running).places.map(({ path }) => path);
}

describe('cgroupsPath', () => {
  test.each([
    ['/docker/c1', [`${ROOT}/docker/c1`]],
    ['/docker//x/../c1/', [`${ROOT}/docker/c1`]],
    ['/../../etc', [`${ROOT}/etc`]],
    ['pods/c1', [`${ROOT}/user.slice/pods/c1`]],
    ['../../../c1', [`${ROOT}/user.slice/c1`]],
    ['', [`${ROOT}/user.slice/c1`]],
  ])('%j on version 2', (cgroupsPath, expected) => {
    expect(paths(VERSION_2, cgroupsPath)).toEqual(expected);
  });

  test.each([
    ['/docker/c1', [`${ROOT}/memory/docker/c1`, `${ROOT}/cpu/docker/c1`]],
    ['pods/c1', [`${ROOT}/memory/mine/pods/c1`, `${ROOT}/cpu/pods/c1`]],
    ['', [`${ROOT}/memory/mine/c1`, `${ROOT}/cpu/c1`]],
  ])('%j on version 1', (cgroupsPath, expected) => {
    expect(paths(VERSION_1, cgroupsPath)).toEqual(expected);
  });

  test.each(['/', '.', '..', '/..', './'])('%j names none', (cgroupsPath) => {
    expect(() => paths(VERSION_2, cgroupsPath)).toThrow('names no control group of its own');
  });

  test('of a process at the top is below the top', () => {
    const layout: CgroupLayout = { version: 2, hierarchies: [{ controllers: [], mountPoint: ROOT, own: ROOT }] };

    expect(paths(layout, '')).toEqual([`${ROOT}/c1`]);
  });
});

describe('with --systemd-cgroup', () => {
  test.each([
    ['system.slice:docker:c1', `${ROOT}/system.slice/docker-c1.scope`],
    ['kubepods-pod_1.slice:cri-containerd:c1', `${ROOT}/kubepods.slice/kubepods-pod_1.slice/cri-containerd-c1.scope`],
    ['a-b-c.slice:p:c1', `${ROOT}/a.slice/a-b.slice/a-b-c.slice/p-c1.scope`],
    ['-.slice:p:c1', `${ROOT}/p-c1.scope`],
    [':p:c1', `${ROOT}/system.slice/p-c1.scope`],
    ['', `${ROOT}/system.slice/tskata-c1.scope`],
    ['a.slice::a-own.slice', `${ROOT}/a.slice/a-own.slice`],
  ])('%j', (cgroupsPath, expected) => {
    expect(paths(VERSION_2, cgroupsPath, true, SYSTEMD)).toEqual([expected]);
  });

  test.each([
    [
      '/docker/c1',
      'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got "/docker/c1" instead',
    ],
    ['a:b', 'slice:prefix:name'],
    ['a:b:c:d', 'slice:prefix:name'],
    ['a--b.slice:p:c', 'invalid slice name: a--b.slice'],
    ['.slice:p:c', 'invalid slice name: .slice'],
    ['nonsense:p:c', 'invalid slice name: nonsense'],
    ['a/b.slice:p:c', 'invalid slice name: a/b.slice'],
    ['a.slice:p:../../x', 'which no unit of systemd can have'],
    ['a.slice:p:', 'which no unit of systemd can have'],
  ])('%j is refused', (cgroupsPath, message) => {
    expect(() => paths(VERSION_2, cgroupsPath, true, SYSTEMD)).toThrow(message);
  });

  test("the user's own systemd has its slices below itself", () => {
    const user = { isUser: true, cgroup: '/user.slice/user@1000.service' };

    expect(paths(VERSION_2, '', true, user)).toEqual([
      `${ROOT}/user.slice/user@1000.service/user.slice/tskata-c1.scope`,
    ]);
  });

  test('where systemd does not run, there is no unit, and the same path', () => {
    const request = { id: 'c1', cgroupsPath: 'a-b.slice:p:c1', systemd: true, rootless: false };

    const { unit, places } = planCgroup(VERSION_1, request);

    expect(unit).toBeUndefined();
    expect(places[0]?.path).toBe(`${ROOT}/memory/a.slice/a-b.slice/p-c1.scope`);
  });
});

test.each([
  [true, '', true],
  [true, '/named', false],
  [false, '', false],
])('rootless %s with the path %j: done without if need be: %s', (rootless, cgroupsPath, isOptional) => {
  expect(planCgroup(VERSION_2, { id: 'c1', cgroupsPath, systemd: false, rootless }).isOptional).toBe(isOptional);
});
