import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findInstallation } from './installation.ts';
import { launchProxy, type PlacedProxy } from './launch.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'launch-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const request = { token: 't', terminal: 'none', place: { pid: 1 }, commandLine: ['sleep'] } as const;

async function launch(script: string): Promise<PlacedProxy> {
  const proxy = join(folder, 'proxy');
  writeFileSync(proxy, `#!/bin/sh\ndd bs=4096 count=1 <&3 >/dev/null 2>&1\n${script}\n`);
  chmodSync(proxy, 0o700);
  return await launchProxy({ ...findInstallation(), proxy }, folder, request, () => {});
}

describe('launchProxy', () => {
  test('gives the process that says PLACED, which tells when it is ready', async () => {
    const placed = await launch('echo PLACED >&3; while [ ! -e go ]; do sleep 0.01; done; echo READY >&3');

    writeFileSync(join(folder, 'go'), '');
    await expect(placed.ready).resolves.toBeUndefined();
    expect(placed.identity.pid).toBeGreaterThan(1);
  });

  test.each([
    ['says why it cannot', 'echo "ERROR no way" >&3; exit 1', /^no way$/],
    ['ends without a word', 'exit 5', /^it ended with status 5$/],
    ['closes the pipe some time before it ends', 'exec 3>&-; sleep 0.1; exit 5', /^it ended with status 5$/],
    ['is killed', 'kill -9 $$', /^it ended with SIGKILL$/],
  ])('fails with the reason for one that %s', async (_, script, message) => {
    const placed = await launch(`echo PLACED >&3; ${script}`);

    await expect(launch(script)).rejects.toThrow(message);
    await expect(placed.ready).rejects.toThrow(message);
  });
});
