import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { MIB } from '../lib/units.ts';
import { SNAPSHOT_VERSION, SnapshotFolder, writeSnapshot } from './snapshot-folder.ts';

const folder = mkdtempSync(join(tmpdir(), 'tskata-snapshot-'));
afterAll(() => rmSync(folder, { recursive: true }));

const bytes = new Uint8Array(2 * MIB);
bytes.set([1, 2, 3], MIB + 17);
const state = { vcpus: [{ rip: 2n ** 63n, xsave: Uint8Array.of(1, 2) }], name: 'vm' };

let path: string;
let count = 0;

beforeEach(async () => {
  count += 1;
  path = join(folder, `snapshot-${count}`);
  await writeSnapshot(path, { state, memory: [{ bytes }] });
});

/** Opens and closes it. */
function check(verifyMemory = true): void {
  new SnapshotFolder(path, { verifyMemory })[Symbol.dispose]();
}

function editManifest(edit: (manifest: Record<string, unknown>) => void): void {
  const file = join(path, 'manifest.json');
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  edit(manifest);
  writeFileSync(file, JSON.stringify(manifest));
}

describe('a snapshot', () => {
  test('is read back as it was written', () => {
    using read = new SnapshotFolder(path, { verifyMemory: true });

    expect(read.state).toEqual(state);
    expect(read.manifest.memory.bytes).toBe(2 * MIB);
  });

  test('is for its owner only, and has nothing beside it', () => {
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(readdirSync(path).map((name) => statSync(join(path, name)).mode & 0o777)).toEqual([0o600, 0o600, 0o600]);
    expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test.each([
    ['a folder', () => mkdirSync(join(folder, 'taken'))],
    ['a file', () => writeFileSync(join(folder, 'taken'), '')],
  ])('does not replace %s of its name', async (_what, make) => {
    make();
    await expect(writeSnapshot(join(folder, 'taken'), { state, memory: [] })).rejects.toThrow('it is there already');
    rmSync(join(folder, 'taken'), { recursive: true });
  });

  test('that cannot be written leaves nothing', async () => {
    const failing = { ...state, broken: () => 1 };

    await expect(writeSnapshot(join(folder, 'fails'), { state: failing as never, memory: [] })).rejects.toThrow(
      'cannot write the snapshot',
    );

    expect(readdirSync(folder).filter((name) => name.includes('fails'))).toEqual([]);
  });

  test.each([
    ['whose name is too long for anything beside it', 'n'.repeat(250), () => undefined],
    ['in whose place something was put meanwhile', 'taken', () => writeFileSync(join(folder, 'taken/file'), '')],
  ])('%s leaves nothing of its own', async (_what, name, meddle) => {
    const before = readdirSync(folder).length;
    const state = Object.defineProperty({}, 'late', { enumerable: true, get: meddle });

    await expect(writeSnapshot(join(folder, name), { state: state as never, memory: [] })).rejects.toMatchObject({
      code: 'CANNOT_WRITE',
    });

    const left = readdirSync(folder, { recursive: true }).filter((one) => String(one).includes('file'));
    expect(left).toEqual(name === 'taken' ? ['taken/file'] : []);
    rmSync(join(folder, 'taken'), { recursive: true, force: true });
    expect(readdirSync(folder)).toHaveLength(before);
  });

  test('that is given up leaves nothing, and says why', async () => {
    const giveUp = new AbortController();
    const written = writeSnapshot(join(folder, 'given-up'), { state, memory: [{ bytes }], signal: giveUp.signal });
    giveUp.abort(new Error('changed my mind'));

    await expect(written).rejects.toThrow('changed my mind');

    expect(readdirSync(folder).filter((name) => name.includes('given-up'))).toEqual([]);
  });

  test('below a folder that is not there says so', async () => {
    await expect(writeSnapshot(join(folder, 'none/s'), { state, memory: [] })).rejects.toThrow('ENOENT');
  });
});

describe('a damaged snapshot is refused with the reason', () => {
  test('a flipped bit of memory', () => {
    const file = join(path, 'memory');
    const contents = readFileSync(file);
    contents[MIB + 18] = 66;
    writeFileSync(file, contents);

    expect(() => check()).toThrow(/the snapshot is damaged: .*memory has the digest/);
  });

  test('memory that was cut, even when its bytes are trusted', () => {
    truncateSync(join(path, 'memory'), MIB);

    expect(() => check(false)).toThrow(`memory has ${MIB} bytes, and ${2 * MIB} were written`);
  });

  test('state of another length', () => {
    writeFileSync(join(path, 'state.json'), '{}');

    expect(() => check()).toThrow(/state\.json has 2 bytes/);
  });

  test('state with another digit', () => {
    const file = join(path, 'state.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('9223372036854775808', '9223372036854775809'));

    expect(() => check()).toThrow(/state\.json has another digest/);
  });

  test.each(['manifest.json', 'state.json', 'memory'])('without %s', (name) => {
    rmSync(join(path, name));

    expect(() => check()).toThrow(new RegExp(`cannot read the snapshot file .*${name}`));
  });

  test.each(['manifest.json', 'state.json', 'memory'])('with a pipe in the place of %s', (name) => {
    rmSync(join(path, name));
    execFileSync('mkfifo', [join(path, name)]);

    expect(() => check()).toThrow(/it is no regular file/);
  });

  test.each([
    ['no JSON', '{'],
    ['deeper than a stack', '['.repeat(1e5) + ']'.repeat(1e5)],
  ])('state that is %s, with the right digest', (_what, text) => {
    writeFileSync(join(path, 'state.json'), text);
    const sha256 = createHash('sha256').update(text).digest('hex');
    editManifest((manifest) => Object.assign(manifest, { state: { bytes: text.length, sha256 } }));

    expect(() => check()).toThrow(/the snapshot is damaged: .*state\.json is no JSON/);
  });

  test('a manifest that is no JSON', () => {
    writeFileSync(join(path, 'manifest.json'), '{');

    expect(() => check()).toThrow(/manifest\.json is no JSON/);
  });

  test.each([
    ['null', 'null'],
    ['another format', '{"format":"x","version":1}'],
  ])('a manifest that is %s', (_what, text) => {
    writeFileSync(join(path, 'manifest.json'), text);

    expect(() => check()).toThrow('is no manifest of the format tskata-vm-snapshot');
  });

  test('a manifest without sizes', () => {
    editManifest((manifest) => delete manifest['memory']);

    expect(() => check()).toThrow('lacks sizes and digests');
  });

  test('a version that a newer program writes', () => {
    editManifest((manifest) => Object.assign(manifest, { version: SNAPSHOT_VERSION + 1, tskataVersion: '9.9.9' }));

    expect(() => check()).toThrow(/has format version 2, written by tskata 9\.9\.9; .* reads version 1/);
  });
});
