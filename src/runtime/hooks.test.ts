import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Hook } from '../oci/config.ts';
import type { State } from '../oci/state.ts';
import { runHooks } from './hooks.ts';

let bundle = '';
beforeEach(() => {
  bundle = mkdtempSync(join(tmpdir(), 'hooks-'));
});
afterEach(() => rmSync(bundle, { recursive: true, force: true }));

function state(): State {
  return { ociVersion: '1.2.0', id: 'c1', pid: 7, status: 'creating', bundle, rootfs: '/r', created: 'x', owner: '' };
}

function script(text: string, more: Partial<Hook> = {}): Hook {
  return { path: '/bin/sh', args: ['sh', '-c', text], env: ['PATH=/bin:/usr/bin', 'A=b=c'], ...more };
}

test('each gets the state, its own environment, and the bundle as its folder; they run in their order', async () => {
  const hooks = [script('cat >first; echo "$A,$HOME" >environment'), script('mv first second')];

  await runHooks('prestart', hooks, state());

  expect(JSON.parse(readFileSync(join(bundle, 'second'), 'utf8'))).toEqual(state());
  expect(readFileSync(join(bundle, 'environment'), 'utf8')).toBe('b=c,\n');
});

test.each<[string, Hook, string]>([
  [
    'ends with another status than 0',
    script('echo out; echo err >&2; exit 3'),
    'error running createRuntime hook #1: exit status 3, stdout: out\n, stderr: err\n',
  ],
  ['is not there', { path: '/nonexistent' }, 'error running createRuntime hook #1: spawn /nonexistent ENOENT'],
  [
    'takes longer than it may',
    script('exec sleep 100', { timeout: 1 }),
    'error running createRuntime hook #1: hook ran past specified timeout of 1.0s',
  ],
])('one that %s is named, and the next do not run', async (_, hook, message) => {
  const hooks = [script('true'), hook, script('touch ran')];

  await expect(runHooks('createRuntime', hooks, state())).rejects.toThrow(message);
  expect(() => readFileSync(join(bundle, 'ran'))).toThrow('ENOENT');
});

test('no hooks are no work', async () => {
  await expect(runHooks('poststop', undefined, state())).resolves.toBeUndefined();
});

test('a timeout of more than a timer can wait for is no short one', async () => {
  await expect(runHooks('prestart', [script('sleep 0.1', { timeout: 3_000_000 })], state())).resolves.toBeUndefined();
});

test('one that is aborted fails at once, whatever it has started', async () => {
  const hooks = [script('sleep 3; exit 0')];

  const running = runHooks('prestart', hooks, state(), AbortSignal.timeout(100));

  await expect(running).rejects.toThrow('error running prestart hook #0: The operation was aborted');
});
