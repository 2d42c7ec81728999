import { expect, test } from 'vitest';
import { ScatterList } from './chain.ts';
import { QueueError } from './queue-error.ts';

function list(): { scatter: ScatterList; segments: Uint8Array[] } {
  const segments = [Uint8Array.of(1, 2), Uint8Array.of(3), Uint8Array.of(4, 5, 6)];
  return { scatter: new ScatterList(segments), segments };
}

test('a copy spans segments and does not change with them', () => {
  const { scatter, segments } = list();
  const copy = scatter.copy(1, 4);
  segments[0]?.fill(99);
  expect(copy).toEqual(Uint8Array.of(2, 3, 4, 5));
});

test('a write spans segments', () => {
  const { scatter, segments } = list();
  scatter.write(1, Uint8Array.of(7, 8, 9));
  expect(segments).toEqual([Uint8Array.of(1, 7), Uint8Array.of(8), Uint8Array.of(9, 5, 6)]);
});

test('zeros are written where they are asked for', () => {
  const { scatter, segments } = list();
  scatter.fillZero(2, 2);
  expect(segments).toEqual([Uint8Array.of(1, 2), Uint8Array.of(0), Uint8Array.of(0, 5, 6)]);
});

test.each([
  [0, 7],
  [6, 1],
  [-1, 2],
])('%i and %i bytes on is refused in a list of six', (offset, length) => {
  expect(() => list().scatter.copy(offset, length)).toThrow(QueueError);
});
