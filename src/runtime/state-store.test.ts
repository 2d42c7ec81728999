import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { identify } from './process-identity.ts';
import { type ContainerRecord, StateStore } from './state-store.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'state-store-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function record(id: string): ContainerRecord {
  const creator = identify(process.pid) ?? { pid: 0, startTime: 0 };
  const created = '2026-01-01T00:00:00Z';
  const where = { bundle: '/b', rootfs: '/b/rootfs' };
  const size = { resources: {}, vmMemoryMib: 128 };
  return { ociVersion: '1.2.0', id, ...where, created, uid: 0, ...size, phase: 'creating', creator };
}

describe('StateStore', () => {
  test('reads back what was written, and lists it', () => {
    const store = new StateStore(root);
    using _lock = store.create(record('c1'));

    store.write({ ...record('c1'), phase: 'started' });

    expect(store.read('c1')).toEqual({ ...record('c1'), phase: 'started' });
    expect(store.list()).toEqual(['c1']);
  });

  test('gives an id to one container only', () => {
    const store = new StateStore(root);
    using _lock = store.create(record('c1'));

    expect(() => store.create(record('c1'))).toThrow('container with given ID already exists');
    expect(readdirSync(root)).toEqual(['c1']);
  });

  test('leaves nothing behind when the lock cannot be made', () => {
    // The folder's path is as long as a path may be, and that of the lock in it is not.
    const longest = 4095;
    const suffix = `/c1@${process.pid}`;
    let folder = root;
    while (folder.length + 200 < longest - suffix.length) folder = join(folder, 'f'.repeat(190));
    folder = join(folder, 'g'.repeat(longest - suffix.length - folder.length - 1));
    const store = new StateStore(folder);

    expect(() => store.create(record('c1'))).toThrow('ENAMETOOLONG');
    expect(readdirSync(folder)).toEqual([]);
  });

  test('does not know a container that was never made', () => {
    const store = new StateStore(root);

    expect(() => store.read('c1')).toThrow('container does not exist');
    expect(() => store.lock('c1')).toThrow('container does not exist');
    expect(store.list()).toEqual([]);
  });

  test('removes all of a container, mount points included', () => {
    const store = new StateStore(root);
    using _lock = store.create(record('c1'));
    for (const name of ['shared', 'shared.rw']) mkdirSync(join(root, 'c1', name));

    store.remove('c1');

    expect(readdirSync(root)).toEqual([]);
  });

  test('never deletes what is mounted, if it can be seen', () => {
    const store = new StateStore(root);
    using _lock = store.create(record('c1'));
    mkdirSync(join(root, 'c1/shared/c1/rootfs'), { recursive: true });
    writeFileSync(join(root, 'c1/shared/c1/rootfs/file'), 'precious');

    expect(() => store.remove('c1')).toThrow();
    expect(readdirSync(join(root, 'c1/shared/c1/rootfs'))).toEqual(['file']);
  });

  test('sweeps away what a dead creator left, and leaves what a living one makes', () => {
    const store = new StateStore(root);
    mkdirSync(join(root, `c1@${2 ** 30}`));
    mkdirSync(join(root, `c1@${process.ppid}`));
    // Ours cannot have made one yet: it is from a process that had this pid before.
    mkdirSync(join(root, `c1@${process.pid}`));

    store.sweep('c1');

    expect(readdirSync(root)).toEqual([`c1@${process.ppid}`]);
  });

  test.each(['', '{', 'null', '{"id":"c2"}'])('says which file is damaged and how to get rid of it: %j', (text) => {
    const store = new StateStore(root);
    using _lock = store.create(record('c1'));
    writeFileSync(join(root, 'c1/state.json'), text);

    expect(() => store.read('c1')).toThrow(/state\.json is damaged: .* delete --force c1/);
  });

  test.each([
    ['../x', 'invalid container ID format'],
    ['a/b', 'invalid container ID format'],
    ['..', 'invalid container ID format'],
    ['', 'container id cannot be empty'],
  ])('refuses the id %j', (id, message) => {
    expect(() => new StateStore(root).read(id)).toThrow(message);
  });
});
