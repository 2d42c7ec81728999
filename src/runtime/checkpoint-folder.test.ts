import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readCheckpoint, writeCheckpoint } from './checkpoint-folder.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'checkpoint-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const saved = {
  containerId: 'c2',
  sharedName: 'c1',
  stdioToken: '0123456789abcdef'.repeat(4),
  terminal: false,
  vmMemoryMib: 512,
  networkCards: 2,
};

async function snapshot(path: string): Promise<void> {
  mkdirSync(path);
  writeFileSync(join(path, 'memory'), path);
}

describe('writeCheckpoint', () => {
  test('writes what is read again', async () => {
    await writeCheckpoint(folder, saved, snapshot);

    const { snapshot: path, ...rest } = readCheckpoint(folder);
    expect(rest).toEqual(saved);
    expect(readFileSync(join(path, 'memory'), 'utf8')).toBe(path);
  });

  test('replaces the one before, and what was never done', async () => {
    mkdirSync(join(folder, 'vm-0123456789abcdef'));
    mkdirSync(join(folder, 'vm-of-somebody'));
    await writeCheckpoint(folder, saved, snapshot);
    const { snapshot: before } = readCheckpoint(folder);

    await writeCheckpoint(folder, { ...saved, vmMemoryMib: 256 }, snapshot);

    const { snapshot: path, vmMemoryMib } = readCheckpoint(folder);
    expect(vmMemoryMib).toBe(256);
    expect(path).not.toBe(before);
    expect(readdirSync(folder)).toHaveLength(3);
    expect(readdirSync(folder)).toContain('vm-of-somebody');
  });

  test('leaves the one before when there cannot be a new one', async () => {
    await writeCheckpoint(folder, saved, snapshot);
    const before = readCheckpoint(folder);

    const written = writeCheckpoint(folder, { ...saved, terminal: true }, () => Promise.reject(new Error('disk full')));

    await expect(written).rejects.toThrow('disk full');
    expect(readCheckpoint(folder)).toEqual(before);
    expect(readdirSync(folder)).toHaveLength(2);
  });
});

describe('readCheckpoint', () => {
  test('says what is wrong with a folder that has none', () => {
    expect(() => readCheckpoint(join(folder, 'missing'))).toThrow(/missing has no checkpoint of tskata: .*ENOENT/);
  });

  test.each<[string, object, RegExp]>([
    ['another program', { format: 'criu' }, /is no checkpoint of tskata/],
    ['a newer version', { version: 2 }, /has format version 2, .*restore it with the program that wrote it/],
    ['an id that is a path', { containerId: '..' }, /is damaged/],
    ['a name that is none', { sharedName: 1 }, /is damaged/],
    ['a snapshot outside of the folder', { snapshot: '../elsewhere' }, /is damaged/],
    ['a token that has a line of its own', { stdioToken: `${saved.stdioToken}\nCONNECT` }, /is damaged/],
    ['a negative size', { vmMemoryMib: -1 }, /is damaged/],
    ['half a card', { networkCards: 0.5 }, /is damaged/],
    ['no word of a terminal', { terminal: null }, /is damaged/],
  ])('refuses %s', async (_, changed, message) => {
    await writeCheckpoint(folder, saved, snapshot);
    const path = join(folder, 'checkpoint.json');
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...changed }));

    expect(() => readCheckpoint(folder)).toThrow(message);
  });
});
