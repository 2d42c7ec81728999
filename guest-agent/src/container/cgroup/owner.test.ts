import { expect, test } from 'vitest';
import { cgroupOwner } from './owner.ts';

const mount = (type: string, ...options: string[]) => ({
  destination: '/sys/fs/cgroup',
  type,
  source: 'cgroup',
  options,
  idMap: undefined,
});
const plan = {
  namespaces: new Map([['cgroup', undefined]] as const),
  mounts: [mount('cgroup', 'nosuid', 'rw')],
  userNamespace: undefined,
  process: { uid: 1000 },
};
const uidMappings = [
  { inner: 0, outer: 100000, size: 1000 },
  { inner: 1000, outer: 5000, size: 2 },
];

test.each([
  ['the user of the program', plan, 1000],
  ['that user as the user namespace maps him', { ...plan, userNamespace: { uidMappings, gidMappings: [] } }, 5000],
  [
    'the root of a user namespace',
    { ...plan, process: { uid: 0 }, userNamespace: { uidMappings, gidMappings: [] } },
    100000,
  ],
  [
    'nobody whom the namespace does not map',
    { ...plan, process: { uid: 2000 }, userNamespace: { uidMappings, gidMappings: [] } },
    undefined,
  ],
  ['root as before', { ...plan, process: { uid: 0 } }, undefined],
  ['root where the tree is read-only', { ...plan, mounts: [mount('cgroup2', 'ro')] }, undefined],
  [
    'root where the namespace is another one',
    { ...plan, namespaces: new Map([['cgroup', '/proc/1/ns/cgroup']] as const) },
    undefined,
  ],
  ['root where there is no namespace', { ...plan, namespaces: new Map() }, undefined],
])('a cgroup is that of %s', (_whose, value, owner) => {
  expect(cgroupOwner(value)).toBe(owner);
});
