// config.md, "Process": terminals.
import { expect } from 'vitest';
import type { Case } from '../case.ts';

export const terminalCases: readonly Case[] = [
  {
    name: 'is the three streams, the controlling one, and /dev/console',
    field: 'process.terminal',
    endToEnd: true,
    config: { process: { terminal: true } },
    commands: ['tty', 'stat /dev/console', 'process', 'mountinfo /dev/console', 'descriptors'],
    finds: {
      tty: { streams: [1, 1, 1], name: expect.stringMatching(/^\/dev\/(pts\/0|console)$/), controlling: true },
      'stat /dev/console': { type: 'character', device: '136:0' },
      process: { pid: 1, session: 1 },
      'mountinfo /dev/console': { type: 'devpts' },
      descriptors: expect.toSatisfy((found: object) => Object.keys(found).sort().join() === '0,1,2'),
    },
    differs: { crun: { reason: 'prints times between what comes from a terminal', skipped: true } },
  },
  {
    name: 'belongs to the user of the process',
    field: 'process.terminal',
    config: { process: { terminal: true, user: { uid: 1000, gid: 1000 } } },
    commands: ['tty', 'stat /dev/pts/0', 'open /dev/tty rw', 'open /dev/pts/0 rw'],
    finds: {
      tty: { streams: [1, 1, 1] },
      'stat /dev/pts/0': { uid: 1000, gid: 5, mode: '0620' },
      'open /dev/tty rw': 'ok',
      'open /dev/pts/0 rw': 'ok',
    },
    differs: { crun: { reason: 'prints times between what comes from a terminal', skipped: true } },
  },
  {
    name: 'without one there is none to open, and no /dev/console',
    field: 'process.terminal',
    commands: ['tty', 'stat /dev/console', 'open /dev/tty r'],
    finds: {
      tty: { streams: [0, 0, 0], controlling: false },
      'stat /dev/console': 'ENOENT',
      'open /dev/tty r': 'ENXIO',
    },
  },
];
