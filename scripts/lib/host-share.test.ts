import { describe, expect, test } from 'vitest';
import { boundToParent, findVirtiofsd, type Share, virtiofsdCommand } from './host-share.ts';

const fresh: Share = { tag: 'project', directory: '/p', caching: 'fresh' };
const kept: Share = { ...fresh, caching: 'kept' };

describe('virtiofsd', () => {
  test('of Debian 13 gets its options in its own spelling', () => {
    const command = virtiofsdCommand({ path: '/v', kind: 'rust' }, fresh, '/s');
    expect(command).toEqual(expect.arrayContaining(['/v', '--shared-dir=/p', '--cache=never', '--allow-mmap']));
  });

  test('of Debian 12 gets its options in its own spelling, and a /run of its own', () => {
    const command = virtiofsdCommand({ path: '/v', kind: 'c' }, fresh, '/s');
    expect(command.slice(0, 2)).toEqual(['unshare', '--mount']);
    expect(command).toEqual(expect.arrayContaining(['/v', 'source=/p', 'cache=auto', 'timeout=0']));
  });

  test.each(['c', 'rust'] as const)('may keep what it has read of a share that does not change (%s)', (kind) => {
    expect(virtiofsdCommand({ path: '/v', kind }, kept, '/s').join(' ')).toContain('cache=always');
  });

  test('that is missing is named with the package that has it', async () => {
    await expect(findVirtiofsd(['/nowhere'])).rejects.toThrow(/apt-get install virtiofsd/);
  });
});

test('a bound command is killed with its parent', () => {
  expect(boundToParent(['a', 'b'])).toEqual(['setpriv', ['--pdeathsig', 'KILL', '--', 'a', 'b']]);
});
