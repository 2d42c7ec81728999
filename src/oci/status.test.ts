import { describe, expect, test } from 'vitest';
import { canDelete, canKill, canStart, type Status, statusOf } from './status.ts';

describe('what may be asked of a container', () => {
  test.each<[Status, boolean, boolean, boolean]>([
    ['creating', false, false, false],
    ['created', true, true, true],
    ['running', false, true, false],
    ['paused', false, true, false],
    ['stopped', false, false, true],
  ])('%s: start %s, kill %s, delete %s', (status, start, kill, remove) => {
    expect([canStart(status), canKill(status), canDelete(status)]).toEqual([start, kill, remove]);
  });
});

describe('statusOf', () => {
  test('follows the phase while the process lives', () => {
    expect([statusOf('creating', true), statusOf('created', true), statusOf('started', true)]).toEqual([
      'creating',
      'created',
      'running',
    ]);
  });

  test('is stopped once it does not, a creator that was killed included', () => {
    expect([statusOf('creating', false), statusOf('created', false), statusOf('started', false)]).toEqual([
      'stopped',
      'stopped',
      'stopped',
    ]);
  });
});
