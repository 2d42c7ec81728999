import { describe, expect, test } from 'vitest';
import { eventLine, type GuestEvent, GuestResults } from './guest-events.ts';

const error = { name: 'Error', message: 'broke', stack: 'Error: broke' };
const events: GuestEvent[] = [
  { event: 'collected', file: '/f', children: [{ type: 'test', id: '1', name: 'a' }] },
  { event: 'test', id: '1', state: 'failed', durationMs: 3, errors: [error] },
  { event: 'suite', id: '2', errors: [error] },
  { event: 'file', file: '/f', errors: [] },
  { event: 'end', errors: [] },
];
const text = events.map(eventLine).join('');

describe('the results of the run inside', () => {
  test('are what the events tell', () => {
    const results = new GuestResults(text);
    expect(results.nodes('/f')).toEqual([{ type: 'test', id: '1', name: 'a' }]);
    expect(results.result('1')).toMatchObject({ state: 'failed', errors: [error] });
    expect(results.suiteErrors('2')).toEqual([error]);
    expect(results.fileErrors('/f')).toEqual([]);
    expect(results.unhandledErrors).toEqual([]);
  });

  test('leave open what no event tells', () => {
    const results = new GuestResults('');
    expect(results.nodes('/f')).toBeUndefined();
    expect(results.result('1')).toBeUndefined();
    expect(results.fileErrors('/f')).toBeUndefined();
    expect(results.unhandledErrors).toBeUndefined();
  });

  test('leave out a last line that was cut off', () => {
    expect(new GuestResults(text.slice(0, -2)).unhandledErrors).toBeUndefined();
  });
});
