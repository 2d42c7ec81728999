import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { countOomKill } from './oom-kill.ts';

/** Old values are as long as the new ones: what is written here is not cut off behind them. */
const FILES = {
  'memory.current': '1000000\n',
  'memory.events': 'oom 1\noom_kill 1\n',
  'memory.max': '90000000\n',
  'memory.oom.group': '1\n',
  'memory.swap.max': '4\n',
};

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tskata-oom-'));
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(folder, name), text);
});
afterEach(() => rmSync(folder, { recursive: true }));

test('when nobody could be killed that is an error, and the limits are as they were', async () => {
  // No victim can enter.
  mkdirSync(join(folder, 'cgroup.procs'));

  await expect(countOomKill(folder)).rejects.toThrow(`the kernel has killed nobody in ${folder}`);

  const left = Object.keys(FILES).map((name) => [name, readFileSync(join(folder, name), 'utf8')]);
  expect(Object.fromEntries(left)).toEqual(FILES);
});

test('a control group without limits of memory is an error', async () => {
  rmSync(join(folder, 'memory.events'));

  await expect(countOomKill(folder)).rejects.toThrow('ENOENT');
});
