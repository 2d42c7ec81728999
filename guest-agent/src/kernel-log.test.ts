// Records as Linux 6.12 writes them to /dev/kmsg.
import { expect, test } from 'vitest';
import { tellsOfGuestOom } from './kernel-log.ts';

const kill = (constraint: string, rest: string): string =>
  `6,512,90210000,-;oom-kill:constraint=${constraint},nodemask=(null),cpuset=box,mems_allowed=0,${rest},task=sh,pid=77,uid=0\n`;
const GLOBAL = 'global_oom,task_memcg=/tskata/box';

test.each([
  ['a kill for want of memory of the guest', kill('CONSTRAINT_NONE', GLOBAL), true],
  ['a kill on one of its memory nodes', kill('CONSTRAINT_CPUSET', GLOBAL), true],
  [
    'a kill at the limit of a container',
    kill('CONSTRAINT_MEMCG', 'oom_memcg=/tskata/box,task_memcg=/tskata/box'),
    false,
  ],
  [
    'a kill at a limit, in a cgroup with a name that lies',
    kill('CONSTRAINT_MEMCG', 'oom_memcg=/tskata/box/oom-kill:constraint=CONSTRAINT_NONE,,global_oom'),
    false,
  ],
  ['the same words written by a program', kill('CONSTRAINT_NONE', GLOBAL).replace('6,', '14,'), false],
  ['anything else', '6,1,0,-;Linux version 6.12\n', false],
])('%s', (_what, record, tells) => {
  expect(tellsOfGuestOom(record)).toBe(tells);
});
