import { expect, test } from 'vitest';
import { mountPointsOf } from './mountinfo.ts';

test('mount points are read with their escapes undone', () => {
  const text = `22 27 0:21 / /proc rw,nosuid shared:5 - proc proc rw
40 27 0:35 /a\\040b /run/tskata/with\\040space\\134x rw - tmpfs tmpfs rw
`;
  expect(mountPointsOf(text)).toEqual(['/proc', '/run/tskata/with space\\x']);
});
