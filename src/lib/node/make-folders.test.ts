import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeFolders } from './make-folders.ts';

let place = '';
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'make-folders-'));
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

test('makes what is missing, with the mode', () => {
  makeFolders(join(place, 'a/b/c'), 0o711);
  makeFolders(join(place, 'a/b'), 0o700);

  expect(statSync(join(place, 'a/b/c')).mode & 0o777).toBe(0o711);
  expect(statSync(join(place, 'a/b')).mode & 0o777).toBe(0o711);
});

test.each([
  ['/proc/nosuch/folder', 'ENOENT'],
  ['/dev/null/folder', 'ENOTDIR'],
])('%s is refused with %s', (path, code) => {
  expect(() => makeFolders(path, 0o700)).toThrow(code);
});

test('a file in the place of a folder above is told', () => {
  writeFileSync(join(place, 'file'), '');

  expect(() => makeFolders(join(place, 'file/below'), 0o700)).toThrow('ENOTDIR');
});
