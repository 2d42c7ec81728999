import { expect, test } from 'vitest';
import { LineSplitter } from './line-splitter.ts';

function split(...pieces: string[]): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter((line) => lines.push(line));
  for (const piece of pieces) splitter.push(Buffer.from(piece, 'latin1'));
  return lines;
}

test('lines are whole, however their bytes come', () => {
  expect(split('one\r\ntw', 'o\n', 'rest')).toEqual(['one', 'two']);
});

test('a character may come in two pieces', () => {
  expect(split('\xc3', '\xa4\n')).toEqual(['ä']);
});

test('a line without end is cut', () => {
  expect(split('x'.repeat(5000))).toEqual(['x'.repeat(5000)]);
});
