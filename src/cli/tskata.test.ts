import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const PROGRAM = join(import.meta.dirname, '../bin/tskata.ts');

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tskata-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function tskata(stdout: number | 'pipe', ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const command = [PROGRAM, '--root', root, ...args];
  const { status, ...streams } = spawnSync(process.execPath, command, {
    env: {},
    encoding: 'utf8',
    stdio: ['ignore', stdout, 'pipe'],
  });
  return { status, stdout: streams.stdout ?? '', stderr: streams.stderr };
}

describe('tskata', () => {
  test.each(['features', 'list'])('%s fails in one line when its output finds no room', (verb) => {
    const { status, stderr } = tskata(openSync('/dev/full', 'w'), verb);

    expect(status).toBe(1);
    expect(stderr).toMatch(/^time=\S+ level=error msg="cannot write to standard output: ENOSPC.*"\n$/);
  });

  test('list shows the others when one record is damaged', () => {
    const good = { id: 'good', bundle: '/b', rootfs: '/b/rootfs', phase: 'created', created: 'x', uid: 0 };
    for (const [id, text] of [
      ['bad', '{'],
      ['good', JSON.stringify(good)],
    ] as const) {
      mkdirSync(join(root, id));
      writeFileSync(join(root, id, 'state.json'), text);
    }

    const { status, stdout, stderr } = tskata('pipe', 'list', '--quiet');

    expect([status, stdout]).toEqual([0, 'good\n']);
    expect(stderr).toContain(`level=warning msg="${root}/bad/state.json is damaged`);
  });
});
