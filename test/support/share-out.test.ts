import { expect, test } from 'vitest';
import { shareOut } from './share-out.ts';

test('every file is in one of the parts', () => {
  const files = ['a', 'b', 'c', 'd', 'e'].map((name) => `/test/${name}.test.ts`);
  const parts = shareOut(files, 2);
  expect(parts).toHaveLength(2);
  expect(parts.flat().toSorted()).toEqual(files);
});

test('the longest file has a part for itself while the others are less', () => {
  const [first, second] = shareOut(['/test/fs.test.ts', '/test/tskata.test.ts', '/test/net.test.ts'], 2);
  expect(first).toEqual(['/test/tskata.test.ts']);
  expect(second).toEqual(['/test/fs.test.ts', '/test/net.test.ts']);
});

test('a host that begins late has less to do', () => {
  const files = ['/test/podman.test.ts', '/test/docker.test.ts', '/test/net.test.ts'];
  expect(shareOut(files, 2, 200)).toEqual([['/test/docker.test.ts', '/test/net.test.ts'], ['/test/podman.test.ts']]);
  expect(shareOut(files, 2, 10_000)).toEqual([['/test/docker.test.ts', '/test/podman.test.ts', '/test/net.test.ts']]);
});

test('there is no part without files', () => {
  expect(shareOut(['/a.test.ts'], 2)).toEqual([['/a.test.ts']]);
  expect(shareOut([], 2)).toEqual([]);
});
