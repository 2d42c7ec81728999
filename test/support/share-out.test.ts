import { expect, test } from 'vitest';
import { shareOut } from './share-out.ts';

test('every file is in one of the parts', () => {
  const files = ['a', 'b', 'c', 'd', 'e'].map((name) => `/test/${name}.test.ts`);
  const parts = shareOut(files, 2);
  expect(parts).toHaveLength(2);
  expect(parts.flat().toSorted()).toEqual(files);
});

test('the longest file has a part for itself while the others are less', () => {
  const [first, second] = shareOut(['/test/fs.test.ts', '/test/tskata.test.ts', '/test/vsock.test.ts'], 2);
  expect(first).toEqual(['/test/tskata.test.ts']);
  expect(second).toEqual(['/test/fs.test.ts', '/test/vsock.test.ts']);
});

test('a host that begins late has less to do, or nothing', () => {
  const files = ['/test/a.test.ts', '/test/b.test.ts', '/test/c.test.ts', '/test/d.test.ts'];
  expect(shareOut(files, 2).map(({ length }) => length)).toEqual([2, 2]);
  expect(shareOut(files, 2, 80).map(({ length }) => length)).toEqual([3, 1]);
  expect(shareOut(files, 2, 10_000)).toEqual([files]);
});

test('there is no part without files', () => {
  expect(shareOut(['/a.test.ts'], 2)).toEqual([['/a.test.ts']]);
  expect(shareOut([], 2)).toEqual([]);
});
