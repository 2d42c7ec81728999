import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bindMount, setPropagation, unmount } from './mount.unsafe.ts';

test.skipIf(process.getuid?.() !== 0)('a read-only bind mount shows the source, takes no writes, and goes away', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tskata-mount-'));
  const source = join(folder, 'source');
  const target = join(folder, 'target');
  for (const path of [source, target]) mkdirSync(path);
  writeFileSync(join(source, 'file'), '');

  bindMount(source, target, { readOnly: true });
  setPropagation(target, 'private');
  const shown = existsSync(join(target, 'file'));
  const write = (): void => writeFileSync(join(target, 'other'), '');

  expect(shown).toBe(true);
  expect(write).toThrow('EROFS');
  unmount(target, { detach: true });
  expect(existsSync(join(target, 'file'))).toBe(false);
  rmSync(folder, { recursive: true });
});

test('a mount of what is not there names both ends', () => {
  expect(() => bindMount('/there/is/no/such', '/nor/this')).toThrow('mount on /there/is/no/such at /nor/this failed');
});
