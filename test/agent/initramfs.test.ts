// The guest's initramfs: what is in it, and that it is the same every time. Needs root, not KVM.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { buildAgent } from '../../guest-agent/build.ts';
import { buildInitramfs, writeArchive } from '../../images/initramfs/build.ts';

const folder = mkdtempSync(join(tmpdir(), 'initramfs-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('holds the agent, a console and the places of its first mounts', async () => {
  const archive = readFileSync(await buildInitramfs());
  const listing = execFileSync('cpio', ['--list', '--verbose', '--numeric-uid-gid', '--quiet'], { input: archive });
  const lines = listing.toString().trimEnd().split('\n');
  expect(lines.map((line) => line.replace(/ +/g, ' ').replace(/ Jan .*1970/, ''))).toEqual([
    'drwxr-xr-x 2 0 0 0 dev',
    'crw------- 1 0 0 5, 1 dev/console',
    expect.stringMatching(/^-rwxr-xr-x 1 0 0 \d+ init$/),
    'drwxr-xr-x 2 0 0 0 root',
  ]);
});

test('is the same, byte for byte, when it is made again', async () => {
  const agent = await buildAgent();
  const outputs = ['first.cpio', 'second.cpio'].map((name) => join(folder, name));
  for (const output of outputs) await writeArchive(agent, output);
  const [first, second] = outputs.map((output) => readFileSync(output));
  expect(second).toEqual(first);
});
