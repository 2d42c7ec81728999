import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { callSandbox } from './sandbox-client.ts';
import { CONTROL_SOCKET, REPORT_FILE } from './state-store.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tskata-client-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const call = (): Promise<unknown> => callSandbox(directory, 'Shutdown', {}, 10_000);
const report = (): void => writeFileSync(join(directory, REPORT_FILE), '{"endReason":"no KVM"}');

/** Ends each connection without an answer. */
async function deafSandbox(): Promise<AsyncDisposable> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(join(directory, CONTROL_SOCKET), resolve));
  return server;
}

test('a call to a sandbox that is gone says that nobody answers', async () => {
  await expect(call()).rejects.toThrow(/the sandbox process does not answer on .*: connect ENOENT/);
});

test('a call to a sandbox that is gone says why it ended, where it told', async () => {
  report();

  await expect(call()).rejects.toMatchObject({ code: 'UNAVAILABLE', message: 'the sandbox ended: no KVM' });
});

test('a call that a sandbox leaves without an answer says that the connection is lost', async () => {
  await using _sandbox = await deafSandbox();

  await expect(call()).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringMatching(/connection/) });
});

test('a call that a sandbox leaves without an answer says why it ended, where it told', async () => {
  await using _sandbox = await deafSandbox();
  report();

  await expect(call()).rejects.toMatchObject({ code: 'UNAVAILABLE', message: 'the sandbox ended: no KVM' });
});
