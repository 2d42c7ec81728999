import { expect, test } from 'vitest';
import type { GuestProcessInfo } from '../runtime/ps.ts';
import { table } from './tskata-ps.ts';

const NOON = new Date(2026, 5, 15, 12, 0, 0).getTime();
const HOUR_US = 3_600_000_000n;

function process(fields: Partial<GuestProcessInfo>): GuestProcessInfo {
  const times = { cpuTimeUs: 0n, residentBytes: 1_048_576n, startTimeUs: 0n };
  return { pid: 100, parentPid: 1, containerPid: 1, uid: 0, state: 'S', commandLine: ['sh'], ...times, ...fields };
}

test('processes have the numbers that they have in the container', () => {
  const shown = table(
    [
      process({}),
      process({ pid: 107, parentPid: 100, containerPid: 8, uid: 1000, state: 'R', commandLine: ['sleep', '10'] }),
    ],
    NOON,
    NOON,
  );

  expect(shown.split('\n')).toEqual([
    'UID  PID PPID STAT  RSS STIME TIME     CMD',
    '0      1    0 S    1024 12:00 00:00:00 sh',
    '1000   8    1 R    1024 12:00 00:00:00 sleep 10',
    '',
  ]);
});

test('times are as ps has them', () => {
  const shown = table(
    [process({ startTimeUs: HOUR_US, cpuTimeUs: 30n * HOUR_US + 61_000_000n })],
    NOON,
    NOON + 48 * 3_600_000,
  );

  expect(shown).toContain(' Jun15 30:01:01 sh\n');
});

test('a command line cannot speak to the terminal', () => {
  const shown = table(
    [process({ commandLine: ['\u001b]0;title\u0007', '\u009b31m', 'a\nb', '\u202e', 'ü'] })],
    NOON,
    NOON,
  );

  expect(shown.split('\n')[1]).toMatch(/ \?\]0;title\? \?31m a\?b \? ü$/);
});

test('where nothing runs there is the heading', () => {
  expect(table([], NOON, NOON)).toBe('UID PID PPID STAT RSS STIME TIME CMD\n');
});
