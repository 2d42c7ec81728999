// config-linux.md, "Control groups": what the container finds in its own cgroup, and what the kernel does about it.
import { expect } from 'vitest';
import type { Case } from '../case.ts';
import type { Parts } from '../config.ts';

const MIB = 2 ** 20;
const resources = (more: object): Parts => ({
  linux: { resources: { devices: [{ allow: false, access: 'rwm' }], ...more } },
});
/** Linear; since then a curve that makes the default of one that of the other. */
const OLD_WEIGHT = {
  reason: 'older versions count weights on a straight line: runc before 1.3.2, and crun of that time',
  finds: { 'read /sys/fs/cgroup/cpu.weight': '79\n' },
} as const;
const file = (name: string): string => `read /sys/fs/cgroup/${name}`;

export const resourceCases: readonly Case[] = [
  {
    name: 'limit, reservation and swap',
    field: 'linux.resources.memory',
    needs: ['memory'],
    endToEnd: true,
    config: resources({ memory: { limit: 64 * MIB, reservation: 32 * MIB, swap: 96 * MIB } }),
    commands: ['max', 'low', 'swap.max'].map((name) => file(`memory.${name}`)),
    finds: {
      [file('memory.max')]: `${64 * MIB}\n`,
      [file('memory.low')]: `${32 * MIB}\n`,
      [file('memory.swap.max')]: `${32 * MIB}\n`,
    },
    differs: {
      vm: {
        reason: 'the guest’s kernel has no swap',
        finds: { [file('memory.max')]: `${64 * MIB}\n`, [file('memory.low')]: `${32 * MIB}\n` },
      },
      tskata: {
        reason: 'the guest’s kernel has no swap',
        finds: { [file('memory.max')]: `${64 * MIB}\n`, [file('memory.low')]: `${32 * MIB}\n` },
      },
    },
  },
  {
    name: 'who takes more memory than there is, is killed',
    field: 'linux.resources.memory.limit',
    needs: ['memory'],
    config: resources({ memory: { limit: 16 * MIB, swap: 16 * MIB } }),
    commands: ['fork allocate 64', 'fork allocate 4'],
    finds: { 'fork allocate 64': { signal: 9 }, 'fork allocate 4': { 'allocate 4': 'ok' } },
  },
  {
    name: 'a swap below the limit is refused',
    field: 'linux.resources.memory.swap',
    needs: ['memory'],
    config: resources({ memory: { limit: 64 * MIB, swap: 32 * MIB } }),
    commands: ['cwd'],
    refused: /swap|memory/i,
  },
  {
    name: 'no more processes than the limit',
    field: 'linux.resources.pids.limit',
    needs: ['pids'],
    config: resources({ pids: { limit: 10 } }),
    commands: [file('pids.max'), 'children 50'],
    finds: { [file('pids.max')]: '10\n', 'children 50': expect.toSatisfy((count: number) => count >= 5 && count <= 9) },
  },
  {
    name: 'a negative limit of processes is none',
    field: 'linux.resources.pids.limit',
    needs: ['pids'],
    config: resources({ pids: { limit: -1 } }),
    commands: [file('pids.max')],
    finds: { [file('pids.max')]: 'max\n' },
  },
  {
    name: 'quota, period and shares',
    field: 'linux.resources.cpu',
    needs: ['cpu'],
    config: resources({ cpu: { quota: 50_000, period: 200_000, shares: 2048 } }),
    commands: [file('cpu.max'), file('cpu.weight')],
    finds: { [file('cpu.max')]: '50000 200000\n', [file('cpu.weight')]: '174\n' },
    differs: { runc: OLD_WEIGHT, crun: OLD_WEIGHT },
  },
  {
    name: 'processors and memory nodes',
    field: 'linux.resources.cpu.cpus',
    needs: ['cpuset'],
    config: resources({ cpu: { cpus: '0', mems: '0' } }),
    commands: [file('cpuset.cpus'), file('cpuset.mems'), 'affinity'],
    finds: { [file('cpuset.cpus')]: '0\n', [file('cpuset.mems')]: '0\n', affinity: [0] },
  },
  {
    name: 'processors that there are not are refused',
    field: 'linux.resources.cpu.cpus',
    needs: ['cpuset'],
    config: resources({ cpu: { cpus: 'nonsense' } }),
    commands: ['cwd'],
    refused: /cpuset|cpus|nonsense/,
  },
  {
    name: 'files of cgroup v2 by their names',
    field: 'linux.resources.unified',
    needs: ['memory', 'pids'],
    config: resources({ unified: { 'memory.high': `${48 * MIB}`, 'pids.max': '33' } }),
    commands: [file('memory.high'), file('pids.max')],
    finds: { [file('memory.high')]: `${48 * MIB}\n`, [file('pids.max')]: '33\n' },
  },
  {
    name: 'a name that leads out of the cgroup is refused',
    field: 'linux.resources.unified',
    config: resources({ unified: { '../cgroup.procs': '1' } }),
    commands: ['cwd'],
    refused: /cgroup/,
  },
  {
    name: 'huge pages by their size',
    field: 'linux.resources.hugepageLimits',
    needs: ['hugetlb'],
    config: resources({ hugepageLimits: [{ pageSize: '2MB', limit: 8 * MIB }] }),
    commands: [file('hugetlb.2MB.max')],
    finds: { [file('hugetlb.2MB.max')]: `${8 * MIB}\n` },
  },
  {
    name: 'weight of input and output',
    field: 'linux.resources.blockIO.weight',
    needs: ['io'],
    config: resources({ blockIO: { weight: 500 } }),
    commands: [file('io.weight'), file('io.bfq.weight')],
    finds: {},
  },
  {
    name: 'freezes nothing, and is its own root',
    field: 'linux.cgroupsPath',
    commands: [file('cgroup.procs'), file('cgroup.type'), 'ls /sys/fs/cgroup/..', 'read /proc/1/cgroup'],
    finds: {
      [file('cgroup.procs')]: '1\n',
      [file('cgroup.type')]: 'domain\n',
      'read /proc/1/cgroup': expect.stringMatching(/^0::\/$/m),
    },
  },
];
