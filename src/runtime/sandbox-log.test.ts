import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLog } from './sandbox-log.ts';

test('lines are in the file at once', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sandbox-log-'));
  try {
    openLog(join(folder, 'log')).info('hello');

    expect(JSON.parse(readFileSync(join(folder, 'log'), 'utf8'))).toMatchObject({ msg: 'hello' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a full file system costs lines, and nothing else', () => {
  const log = openLog('/dev/full');

  expect(() => {
    for (let line = 0; line < 1000; line++) log.info('x'.repeat(1000));
  }).not.toThrow();
});
