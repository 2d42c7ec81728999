import { expect, test } from 'vitest';
import { ConsoleBacklog } from './console-backlog.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (piece: ReturnType<ConsoleBacklog['take']>): unknown =>
  piece !== undefined && 'output' in piece ? Buffer.from(piece.output).toString() : piece;

test('gives what was pushed, in order and joined', () => {
  const backlog = new ConsoleBacklog();
  backlog.push(bytes('one '));
  backlog.push(bytes('two'));

  expect([text(backlog.take()), backlog.take()]).toEqual(['one two', undefined]);
});

test('keeps a copy', () => {
  const backlog = new ConsoleBacklog();
  const reused = bytes('first');
  backlog.push(reused);
  reused.fill(0);

  expect(text(backlog.take())).toBe('first');
});

test('drops the oldest, and says how much before it gives the rest', () => {
  const backlog = new ConsoleBacklog(8);
  backlog.push(bytes('aaaa'));
  backlog.push(bytes('bbbb'));
  backlog.push(bytes('cc'));

  expect([backlog.take(), text(backlog.take()), backlog.take()]).toEqual([{ lostBytes: 4 }, 'bbbbcc', undefined]);
});

test('keeps the end of a chunk that is larger than all', () => {
  const backlog = new ConsoleBacklog(4);
  backlog.push(bytes('123456'));

  expect([backlog.take(), text(backlog.take())]).toEqual([{ lostBytes: 2 }, '3456']);
});

test('gives large output in pieces', () => {
  const backlog = new ConsoleBacklog();
  backlog.push(new Uint8Array(70_000));

  const sizes = [backlog.take(), backlog.take(), backlog.take(), backlog.take()].map((piece) =>
    piece !== undefined && 'output' in piece ? piece.output.length : 0,
  );

  expect(sizes).toEqual([32_768, 32_768, 4464, 0]);
});
