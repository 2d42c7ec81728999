import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readBundle } from './bundle.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bundle-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a folder without a config.json is no bundle', () => {
  expect(() => readBundle(folder)).toThrow('JSON specification file config.json not found');
});

test('a config.json that cannot be read is named', () => {
  mkdirSync(join(folder, 'config.json'));

  expect(() => readBundle(folder)).toThrow(`cannot read ${folder}/config.json: EISDIR`);
});

test.each([
  ['', `is not JSON`],
  ['null', 'the whole in config.json is null; allowed is an object'],
  ['{"__proto__":{"ociVersion":"1.2.0"}}', 'ociVersion in config.json is missing'],
])('%j is refused', (text, message) => {
  writeFileSync(join(folder, 'config.json'), text);

  expect(() => readBundle(folder)).toThrow(message);
});
