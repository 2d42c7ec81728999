import { expect, test } from 'vitest';
import { limitLog, MAX_LOG_LINES } from './log-limit.ts';

test('a guest cannot make more than so many lines, and the last says so', () => {
  const lines: string[] = [];
  const log = limitLog((line) => lines.push(line));
  for (let count = 0; count < 10 * MAX_LOG_LINES; count++) log(`line ${count}`);
  expect(lines).toHaveLength(MAX_LOG_LINES + 1);
  expect(lines.at(-2)).toBe(`line ${MAX_LOG_LINES - 1}`);
  expect(lines.at(-1)).toContain('left out');
});
