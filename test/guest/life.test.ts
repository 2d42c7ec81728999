// A VMM that is killed at any moment leaves no process and no file but the socket that it was told to make, and the next one
// takes that over.
import { mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { boot, KERNEL, processesNaming, QUIET, start, useGuestFiles } from './tsvm-harness.ts';

const files = useGuestFiles();

/** Milliseconds from the start of the program to its end: while it opens, builds, boots and runs. */
const MOMENTS = [50, 300, 700, 1200, 2500];

test('kills at any moment leave nothing, and the same VM starts again', { timeout: 300_000 }, async () => {
  const shared = files.path('shared');
  mkdirSync(shared);
  writeFileSync(files.path('disk.img'), '');
  truncateSync(files.path('disk.img'), 1 << 20);
  const devices = ['--share', `data=${shared}`, '--vsock', `3=${files.path('v.sock')}`];
  const all = [...devices, '--disk', files.path('disk.img'), '--console', '--balloon', '0'];
  const initrd = files.initramfs('endless', 'echo READY; sleep 1000');
  const runtimeFolders = () => readdirSync(tmpdir()).filter((name) => /^tsvm-(?!test)/.test(name));
  const before = { temporary: runtimeFolders(), own: [...readdirSync(files.path('.')), 'v.sock'].sort() };

  for (const moment of MOMENTS) {
    const child = start(['boot', '--kernel', KERNEL, '--initrd', initrd, '--cmdline', QUIET, ...all]);
    await sleep(moment);
    child.kill('SIGKILL');
    await child.ended;
    await expect.poll(() => processesNaming(shared), { timeout: 20_000 }).toEqual([]);
  }
  const { status, stdout } = await boot(files.initramfs('again', 'echo "again=$(nproc)"'), ...all);

  expect(stdout).toContain('again=1');
  expect(status).toBe(0);
  expect(runtimeFolders()).toEqual(before.temporary);
  expect(before.own).toEqual(
    expect.arrayContaining(readdirSync(files.path('.')).filter((name) => !/^again/.test(name))),
  );
});
