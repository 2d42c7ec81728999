import { describe, expect, test } from 'vitest';
import type { Hooks } from './config.ts';
import { hooksForGuest } from './guest-hooks.ts';

describe('hooksForGuest', () => {
  test("shares the hosts' programs of createContainer, and leads to what the guest sees of them", () => {
    const createContainer = [
      { path: '/usr/bin/one', args: ['one', '-v'], env: ['A=b'], timeout: 3 },
      { path: '/opt/two' },
    ];

    const { hooks, shares } = hooksForGuest({ createContainer }, 'c1', '/shared');

    expect(shares).toEqual([
      { source: '/usr/bin/one', target: 'c1/hooks/0', recursive: false },
      { source: '/opt/two', target: 'c1/hooks/1', recursive: false },
    ]);
    expect(hooks.createContainer).toEqual([
      { path: '/shared/c1/hooks/0', args: ['one', '-v'], env: ['A=b'], timeout: 3 },
      { path: '/shared/c1/hooks/1', args: ['/opt/two'] },
    ]);
  });

  test('leaves programs of the container where they are', () => {
    const startContainer = [{ path: '/bin/in-container' }];

    const plan = hooksForGuest({ startContainer }, 'c1', '/shared');

    expect(plan).toEqual({ hooks: { createContainer: [], startContainer }, shares: [] });
  });

  test('keeps the programs that run on the host from the guest', () => {
    const hook = [{ path: '/bin/true' }];

    const plan = hooksForGuest({ prestart: hook, createRuntime: hook, poststart: hook, poststop: hook }, 'c1', '/s');

    expect(plan).toEqual({ hooks: { createContainer: [], startContainer: [] }, shares: [] });
  });

  test.each([null, { createContainer: null, startContainer: null }])('takes %j for none', (hooks) => {
    const plan = hooksForGuest(hooks as unknown as Hooks, 'c1', '/shared');

    expect(plan).toEqual({ hooks: { createContainer: [], startContainer: [] }, shares: [] });
  });
});
