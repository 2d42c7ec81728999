import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { identify, isAlive, signalIdentity, waitForEnd } from './process-identity.ts';

const missing = { pid: -1, startTime: -1 };

test('a process is known by its pid and the time of its start', () => {
  const self = identify(process.pid) ?? missing;

  expect(isAlive(self)).toBe(true);
  expect(isAlive({ ...self, startTime: self.startTime + 1 })).toBe(false);
});

test('a signal does not reach a later process with the same pid', () => {
  const self = identify(process.pid) ?? missing;

  expect(signalIdentity({ ...self, startTime: self.startTime - 1 }, 9)).toBe(false);
});

test('one that ends is waited for', async () => {
  const child = spawn('/bin/sleep', ['100']);
  await once(child, 'spawn');
  const identity = identify(child.pid ?? -1) ?? missing;

  const early = await waitForEnd(identity, 1);
  signalIdentity(identity, 9);
  const late = await waitForEnd(identity, 10_000);

  expect([early, late]).toEqual([false, true]);
});

test('nobody has a pid beyond the last one', () => {
  expect(identify(2 ** 30)).toBeUndefined();
});
